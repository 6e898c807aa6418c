// Contract of the micro-kernels of a depthwise convolution of int8 maps: one row of output from
// kernel_size rows of input, all in quads: 16 bytes of four channels of four pixels.
//
//   sum[x][c]    = bias[c] + sum_ij (row i, pixel x * stride + j - kernel_size / 2)[c] *
//   weight[c][i][j] output[x][c] = clamp(round(sum * multiplier[c]) + zero)
//
// core/quantized.h has rounding, clamps and limits, which hold for the sums without their inputs'
// zero point. Quads make it exact on dot products of four bytes, and without shuffles on the way
// from the kernel that makes the rows to the one that reads the output (kernels/int8_pointwise).
// Free of std:: code, so ISA files may include it.
//
// Rows      [channels / 4][pixels / 4][4 channels][4 pixels]; row_stride from four channels to the
//           next ones. A row points to the quad of pixels 0 to 3, where output 0 has its middle. Of
//           those around them, from the quad before to the one at pixel 4 * stride * quads of
//           output, all are read; what stands for padding is to hold the zero point.
// Output    [pixels / 4][channels / 4][4 pixels][4 channels]; stride from four pixels to the next
//           ones. Whole quads are written: beyond the width what the rows' pixels give, beyond the
//           channels the zero point.
// Kernel    kernel_size 3 or 5, stride 1 or 2, in both directions.
// Weights   prepared for a variant, by itself, from those that pack_int8_depthwise packed: panels
// of
//           kPanel channels; of each panel, all kPanel long,
//             int32    kMagicBits + bias, of inputs less their zero point
//             float32  multiplier
//             float32  quantized_offset(multiplier, zero)
//             int32    the sum of the weights
//           then for each tap, row by row, the int8 weights; zero where there is no channel.
// Aliasing  none between output and rows or weights.
// Alignment packed weights to 4 bytes, others of elements only.
// Tails     nothing outside the stated arrays is read or written, whatever the sizes from 1 up.
#pragma once

#include <stdint.h>

#include "core/isa.h"
#include "core/panel.h"
#include "core/pixels.h"
#include "core/quantized.h"

namespace seaformer {

struct Int8Depthwise {
  const void* const* rows = nullptr;  // kernel_size of them
  int64_t row_stride = 0;
  const void* weights = nullptr;  // prepared, with biases and multipliers
  OutPixels output;
  int64_t width = 0;  // of the output
  int64_t channels = 0;
  int kernel_size = 3, stride = 1;
  int32_t zero = 0;  // of the output: that of the packed weights
};

struct Int8DepthwiseShape {
  int64_t channels;
  int kernel_size, stride;
};

struct Int8DepthwiseKernel {
  Isa isa;
  // Bytes of prepared weights, and what makes them, for inputs of a zero point.
  int64_t (*prepared_bytes)(const Int8DepthwiseShape& shape);
  void (*prepare)(const Int8DepthwiseShape& shape, const void* packed, int32_t zero, void* to);
  void (*run)(const Int8Depthwise& args);
};

#define SEAFORMER_ROW(isa)                                                                \
  SEAFORMER_IF_BUILT(int8_depthwise, isa, SEAFORMER_DECLARE_VARIANT, Int8DepthwiseKernel, \
                     int8_depthwise)
#include "kernels/int8_depthwise/variants.inc"
#undef SEAFORMER_ROW

}  // namespace seaformer
