// Contract of the micro-kernels of the stem: one output row of a dense 3x3 convolution of stride 2
// over the three channels of an image; and of those that normalise image rows for it.
//
//   output[x][n] = activation(bias[n] + sum_cij image[c][i][2 * x + j] * weight[n][c][i][j])
//
// Free of std:: code, so ISA files may include it.
//
// Element   of the output; rows and weights have the type `input`. Sums are made in that.
// Layout    rows hold their padding: 2 * width + 1 columns are read of each. Planar
//           images give nine rows, the three of the first channel first; interleaved ones give
//           three, in which the channels of a column lie side by side. Output has the channels of
//           a pixel contiguous; its stride counts bytes between pixels.
// Weights   packed by pack_pointwise with 27 inputs, k = (c * 3 + i) * 3 + j.
// Aliasing  none between output and the rest; rows may be the same.
// Alignment of elements only.
// Activation one of those up to `most`; blocks/activated.h does others in a pass of their own.
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

struct Stem {
  const void* const* rows = nullptr;
  bool interleaved = false;
  const void* weights = nullptr;  // packed, with the biases
  OutPixels output;
  int64_t width = 0;  // of the output
  int64_t out_channels = 0;
  Activation activation = Activation::kRelu;
};

// Of every element of a row in turn, over and over: of one channel, or of three side by side.
constexpr int kNormalizationPeriod = 48;
struct Normalization {
  float mean[kNormalizationPeriod], inverse_std[kNormalizationPeriod];
};

struct StemKernel {
  Isa isa;
  Element element, input;
  int64_t lanes;  // of a vector, which divide kPanel
  void (*run)(const Stem& args);
  // to[i] = (from[i] - mean[i]) * inverse_std[i], computed in float32 and written as `input`
  void (*normalize_u8)(const uint8_t* from, int64_t count, const Normalization& by, void* to);
  void (*normalize_f32)(const float* from, int64_t count, const Normalization& by, void* to);
  Activation most = Activation::kRelu;  // it does those up to this one
};

#define SEAFORMER_ROW(isa, element) \
  SEAFORMER_IF_BUILT(stem, isa, SEAFORMER_DECLARE_VARIANT, StemKernel, stem_##element)
#include "kernels/stem/variants.inc"
#undef SEAFORMER_ROW

}  // namespace seaformer
