// Contract of the micro-kernels of a pointwise (1x1) convolution of int8 maps.
//
//   sum[p][n]    = bias[n] + sum_k input[p][k] * weight[n][k]
//   output[p][n] = clamp(round(sum * multiplier[n]) + zero + (residual[p][n] - residual_zero) *
//   ratio)   kInt8
//                = clamp(round(sum * multiplier[n]) + zero) - zero                     kInt8Float
//                = sum * multiplier[n]                                                 kFloat
//
// core/quantized.h has rounding, clamps and limits, which hold for the sums without their inputs'
// zero point. Free of std:: code, so ISA files may include it.
//
// Layout    the channels of a pixel contiguous; strides count bytes between pixels. Or quads, four
//           channels of four pixels in 16 bytes, as kernels/int8_depthwise takes and gives them:
//             input   [pixels / 4][in_channels / 4][4 pixels][4 channels]; stride from four pixels
//                     to the next ones
//             output  [out_channels / 4][pixels / 4][4 channels][4 pixels]; stride from four
//             channels
//                     to the next ones
//           Both begin with whole quads and end with them: those of the input may hold anything
//           beyond the pixels and channels; of the output those of the last panel are all written,
//           with the zero point beyond.
// Output    of int8, or of float32: quantized numbers less their zero point, or what they stand
//           for. Of the last, multipliers are any and `zero` is 0. Only int8 in pixels takes a
//           residual.
// Residual  int8; scaled_quantized() of it is added behind saturation to 16 bits.
// Weights   packed by pack_int8_pointwise: panels of kPanel output channels; of each panel, all
//           kPanel long,
//             int32    kMagicBits + bias, to which inputs' zero points have been added
//             float32  multiplier
//             float32  quantized_offset(multiplier, zero), of the zero point they are packed for
//             int32    the sum of the weights
//           then for every kInt8Taps input channels, int8: each output channel's side by side, zero
//           beyond the last input channel or output channel.
// Aliasing  output may be residual, pixel by pixel; nothing else overlaps.
// Alignment weights to 4 bytes, others of elements only.
// Tails     nothing outside the stated arrays is read or written, whatever the sizes from 1 up.
#pragma once

#include <stdint.h>

#include "core/isa.h"
#include "core/panel.h"
#include "core/pixels.h"
#include "core/quantized.h"

namespace seaformer {

constexpr int64_t kInt8Taps = 4;  // input channels side by side: what one dot product takes
constexpr int64_t kInt8PanelArrays = 4;
constexpr int64_t kInt8Quad = 4;  // pixels of a quad, and its channels

enum class Int8Output : int32_t { kInt8, kInt8Float, kFloat, kInt8Quads };

struct Int8Pointwise {
  InPixels input;
  const void* weights = nullptr;   // packed, with biases and multipliers
  const void* prepared = nullptr;  // the same by `prepare` of the variant, or null
  OutPixels output;
  InPixels residual;          // or none
  int32_t ratio = 0;          // of the residual, kRatioOne being 1; below 8 times that
  int32_t residual_zero = 0;  // its zero point
  Int8Output form = Int8Output::kInt8;
  int32_t zero = 0;  // of the output: that of the packed weights
  int64_t pixels = 0, in_channels = 0, out_channels = 0;
  bool input_quads = false;
};

struct Int8PointwiseKernel {
  Isa isa;
  void (*run)(const Int8Pointwise& args);
  bool quads;  // whether it takes and gives them
  // Of a variant that lays packed weights out for itself, the bytes of a whole convolution's and
  // what lays them out, to 16 bytes: once for all calls, where each would do it again. Else null.
  int64_t (*prepared_bytes)(int64_t in_channels, int64_t out_channels) = nullptr;
  void (*prepare)(int64_t in_channels, int64_t out_channels, const void* packed,
                  void* to) = nullptr;
};

#define SEAFORMER_ROW(isa)                                                                \
  SEAFORMER_IF_BUILT(int8_pointwise, isa, SEAFORMER_DECLARE_VARIANT, Int8PointwiseKernel, \
                     int8_pointwise)
#include "kernels/int8_pointwise/variants.inc"
#undef SEAFORMER_ROW

}  // namespace seaformer
