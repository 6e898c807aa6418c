// Contract of the micro-kernels of a pointwise (1x1) convolution: a matrix product over pixels.
//
//   output[p][n] = multiplier[p][n] * activation(bias[n] + sum_k input[p][k] * weight[n][k])
//                  + residual[p][n]                               multiplier, residual: optional
//
// Free of std:: code, so ISA files may include it.
//
// Layout    float32, the channels of a pixel contiguous; strides count bytes between pixels.
// Weights   packed by pack_pointwise: panels of kPanel output channels; of each panel the biases,
//           then for every input channel the weights, zero where there is no output channel.
// Aliasing  output may be residual or multiplier, pixel by pixel; nothing else overlaps.
// Alignment of elements only.
// Tails     nothing outside the stated arrays is read or written, whatever the sizes from 1 up.
// NaN       passes through every activation, as in PyTorch.
#pragma once

#include <stdint.h>

#include "core/activation.h"
#include "core/isa.h"
#include "core/panel.h"
#include "core/pixels.h"

namespace seaformer {

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
  int64_t lanes;  // of a vector, which divide kPanel
  void (*run)(const Pointwise& args);
};

// The one list of variants: declarations, the choice, tests and benchmarks all come from it.
#define SEAFORMER_POINTWISE_VARIANTS(X, ...) SEAFORMER_BUILT_ISAS(pointwise, X, __VA_ARGS__)

SEAFORMER_POINTWISE_VARIANTS(SEAFORMER_DECLARE_VARIANT, PointwiseKernel, pointwise_kernel)

}  // namespace seaformer
