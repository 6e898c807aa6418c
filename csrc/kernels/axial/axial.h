// Contract of the micro-kernels of squeeze-axial attention: the squeeze of a map to the sums of its
// rows and columns, attention along one axis, and the return to the map.
//
//   squeeze   row_sum[c] = sum_x input[x][c];   column_sum[x][c] += input[x][c]
//   attend    output[i] = clamp(sum_j softmax_j(scale * q[i] . k[j]) v[j], low, high)
//             of one head, at positions i and j
//   combine   output[x][c] = relu6(v[x][c] + row[c] + column[x][c])
//
// Free of std:: code, so ISA files may include it.
//
// Element   of the map, squeeze's input and combine's v and output; all else is float32.
// Layout    the channels of a pixel or position contiguous; strides count bytes between pixels or
//           positions. Rows of sums, and combine's columns, are dense.
// Aliasing  none.
// Alignment of elements only.
// Softmax   subtracts the largest score; exp is within 2 units in the last place of the float64
//           one down to -87, below which it is 0.
// NaN       stays NaN; infinite scores do as in PyTorch.
// Tails     nothing outside the stated arrays is read or written, whatever the sizes from 1 up.
#pragma once

#include <stdint.h>

#include "core/element.h"
#include "core/isa.h"
#include "core/panel.h"
#include "core/pixels.h"

namespace seaformer {

struct AxialSqueeze {
  InPixels input;  // one row of a map
  int64_t width = 0, channels = 0;
  float* row_sum = nullptr;  // [channels]
  OutPixels column_sum;      // [width][channels]
};

struct AxialAttend {
  InPixels q, k, v;  // [length][key_dim] twice, [length][value_dim]
  OutPixels output;  // [length][value_dim]
  int64_t length = 0, key_dim = 0, value_dim = 0;
  float scale = 1;
  float low = -__builtin_inff(), high = __builtin_inff();  // bounds of outputs
  float* scratch = nullptr;                                // of axial_scratch_floats
};

struct AxialCombine {
  InPixels v;
  const float* row = nullptr;     // [channels]
  const float* column = nullptr;  // [width][channels]
  OutPixels output;
  int64_t width = 0, channels = 0;
};

constexpr int64_t axial_scratch_floats(int64_t length, int64_t key_dim) {
  return panels(length) * kPanel * (key_dim + 1);
}

struct AxialKernel {
  Isa isa;
  Element element;
  int64_t lanes;  // of a vector, which divide kPanel
  void (*squeeze)(const AxialSqueeze& args);
  void (*attend)(const AxialAttend& args);
  void (*combine)(const AxialCombine& args);
};

#define SEAFORMER_ROW(isa, element) \
  SEAFORMER_IF_BUILT(axial, isa, SEAFORMER_DECLARE_VARIANT, AxialKernel, axial_##element)
#include "kernels/axial/variants.inc"
#undef SEAFORMER_ROW

}  // namespace seaformer
