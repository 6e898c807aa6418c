// Contract of the micro-kernels of a pointwise (1x1) convolution: a matrix product over pixels.
//
//   output[p][n] = multiplier[p][n] * activation(bias[n] + sum_k input[p][k] * weight[n][k])
//                  + residual[p][n]                               multiplier, residual: optional
//
// Free of std:: code, so ISA files may include it.
//
// Element   of all arrays, the weights' too. Sums have a type of their own, and the epilogue;
//           float16 ones are of 95 input channels at most (on x86 of every other one), whose totals
//           are summed in float16. A kernel may take subnormal bfloat16 for zero.
// Layout    the channels of a pixel contiguous; strides count bytes between pixels.
// Weights   packed by pack_pointwise: panels of kPanel output channels; of each panel the biases,
//           then for every input channel the weights, zero where there is no output channel.
//           Of bfloat16, whose instructions multiply several input channels at once, for every
//           kGroupedTaps of them: each output channel's side by side. The last group may be less.
// Aliasing  output may be residual or multiplier, pixel by pixel; nothing else overlaps.
// Alignment of elements only.
// Tails     nothing outside the stated arrays is read or written, whatever the sizes from 1 up.
// NaN       passes through every activation, as in PyTorch.
// Activation one of those up to `most`; blocks/activated.h does others in a pass of their own.
#pragma once

#include <stdint.h>

#include "core/activation.h"
#include "core/element.h"
#include "core/isa.h"
#include "core/panel.h"
#include "core/pixels.h"

namespace seaformer {

constexpr int64_t kGroupedTaps = 4;

struct Pointwise {
  InPixels input;
  const void* weights = nullptr;  // packed, with the biases
  OutPixels output;
  InPixels multiplier, residual;  // or none
  int64_t pixels = 0, in_channels = 0, out_channels = 0;
  Activation activation = Activation::kNone;
};

struct PointwiseKernel {
  Isa isa;
  Element element, sums;
  int64_t lanes;  // of a vector, which divide kPanel
  void (*run)(const Pointwise& args);
  // Packed weights of one panel, and its biases, as those of float32.
  void (*widen_panel)(const void* packed, int64_t in_channels, float* to);
  Activation most = Activation::kHardSigmoid;  // it does those up to this one
};

#define SEAFORMER_ROW(isa, element)                                              \
  SEAFORMER_IF_BUILT(pointwise, isa, SEAFORMER_DECLARE_VARIANT, PointwiseKernel, \
                     pointwise_##element)
#include "kernels/pointwise/variants.inc"
#undef SEAFORMER_ROW

}  // namespace seaformer
