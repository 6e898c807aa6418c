// Contract of the micro-kernels of a depthwise convolution: one row of output from kernel_size rows
// of input.
//
//   output[x][c] = activation(bias[c] + sum_ij rows[i][x * stride + j][c] * weight[c][i][j])
//
// Free of std:: code, so ISA files may include it.
//
// Element   of all arrays, the weights' too; sums have a type of their own.
// Layout    the channels of a pixel contiguous; strides count bytes between pixels. Rows
//           hold their padding: (width - 1) * stride + kernel_size pixels are read of each, so that
//           a caller may hand out rows of a ring with zeros at both ends, and one zero row many
//           times.
// Kernel    kernel_size 3, 5 or 7, stride 1 or 2, in both directions.
// Activation one of those up to `most`; blocks/activated.h does others in a pass of their own.
// Weights   packed by pack_depthwise: for each panel of kPanel channels the biases, then for each
//           tap, row by row, the weights; zero where there is no channel.
// Aliasing  none between output and rows or weights.
// Alignment of elements only.
// NaN       stays NaN.
// Tails     nothing outside the stated arrays is read or written, whatever the sizes from 1 up.
#pragma once

#include <stdint.h>

#include "core/activation.h"
#include "core/element.h"
#include "core/isa.h"
#include "core/panel.h"
#include "core/pixels.h"

namespace seaformer {

struct Depthwise {
  const void* const* rows = nullptr;  // kernel_size of them
  int64_t row_stride = 0;             // between the pixels of a row
  const void* weights = nullptr;      // packed, with the biases
  OutPixels output;
  int64_t width = 0;  // of the output
  int64_t channels = 0;
  int kernel_size = 3, stride = 1;
  Activation activation = Activation::kNone;
};

struct DepthwiseKernel {
  Isa isa;
  Element element, sums;
  int64_t lanes;  // of a vector, which divide kPanel
  void (*run)(const Depthwise& args);
  Activation most = Activation::kRelu6;  // it does those up to this one
};

#define SEAFORMER_ROW(isa, element)                                              \
  SEAFORMER_IF_BUILT(depthwise, isa, SEAFORMER_DECLARE_VARIANT, DepthwiseKernel, \
                     depthwise_##element)
#include "kernels/depthwise/variants.inc"
#undef SEAFORMER_ROW

}  // namespace seaformer
