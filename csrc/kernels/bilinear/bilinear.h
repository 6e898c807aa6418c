// Contract of the micro-kernels that resize a map bilinearly: a row between two of its rows, then
// what lies between the columns of that, alone or as the gate of a finer map.
//
//   blend     output[i] = low_weight * low[i] + high_weight * high[i]
//   resize    output[x][c] = between
//   multiply  output[x][c] = output[x][c] * between, or relu(output[x][c] * between + shift[c])
//             with between = low_weight[x] * row[low of x][c] + high_weight[x] * row[high of x][c]
//
// Free of std:: code, so ISA files may include it.
//
// Element   of all maps; weights and shifts are float32. Sums have a type of their own, which those
//           are first rounded to.
// Layout    the channels of a pixel contiguous; pixels of the coarse row are `channels` elements
//           apart; strides count bytes.
// Aliasing  none.
// Alignment of elements only.
// NaN       stays NaN, as does an infinity with a weight of zero, as in PyTorch.
// Tails     nothing outside the stated arrays is read or written, whatever the sizes from 1 up.
#pragma once

#include <stdint.h>

#include "core/element.h"
#include "core/isa.h"
#include "core/pixels.h"
#include "core/resize_axis.h"

namespace seaformer {

struct BilinearResize {
  const void* row = nullptr;        // of the coarse map, from its column `first` on
  int64_t first = 0;                // not above what the first run looks at
  const ResizeRun* runs = nullptr;  // from that which holds `begin` to that which holds `end` - 1
  const float* low_weight = nullptr;
  const float* high_weight = nullptr;  // of all columns, from column 0 on
  int64_t begin = 0, end = 0;          // columns of the output
  OutPixels output;                    // of column `begin`
  int64_t channels = 0;
};

struct BilinearMultiply : BilinearResize {
  const float* shift = nullptr;  // [channels], or null for the product alone
};

struct BilinearKernel {
  Isa isa;
  Element element, sums;
  int64_t lanes;  // of a vector
  void (*blend)(const void* low, const void* high, float low_weight, float high_weight,
                int64_t count, void* output);
  void (*resize)(const BilinearResize& args);
  void (*multiply)(const BilinearMultiply& args);
};

#define SEAFORMER_ROW(isa, element) \
  SEAFORMER_IF_BUILT(bilinear, isa, SEAFORMER_DECLARE_VARIANT, BilinearKernel, bilinear_##element)
#include "kernels/bilinear/variants.inc"
#undef SEAFORMER_ROW

}  // namespace seaformer
