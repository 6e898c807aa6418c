// Contract of the micro-kernels around the matrix products of Winograd's convolution F(2x2, 3x3)
// (Lavin and Gray, CVPR 2016): four outputs of a 3x3 window from sixteen products instead of 36.
//
//   input    output[4 i + j][c] = (B^T patch[c] B)[i][j]                         patch: 4x4 pixels
//   output   square[c] = clamp(A^T products[c] A)                               square: 2x2 pixels
//
//         | 1  0 -1  0 |          | 1  1  1  0 |
//   B^T = | 0  1  1  0 |    A^T = | 0  1 -1 -1 |
//         | 0 -1  1  0 |
//         | 0  1  0 -1 |
//
// Free of std:: code, so ISA files may include it.
//
// Layout    the channels of a pixel contiguous; strides count floats.
// Aliasing  pixels of a patch may be the same, and so may those of a square, of which it is not
//           said which one stays; nothing else overlaps.
// Alignment of elements only.
// NaN       stays NaN; an infinity can become one.
// Tails     nothing outside the stated arrays is read or written, whatever the sizes from 1 up.
#pragma once

#include <stdint.h>

#include "core/activation.h"
#include "core/isa.h"

namespace seaformer {

constexpr int kWinogradProducts = 16;

struct WinogradInput {
  const float* patch[kWinogradProducts] = {};  // its pixels, row by row
  float* output = nullptr;
  int64_t stride = 0;  // from one of the sixteen to the next
  int64_t channels = 0;
};

struct WinogradOutput {
  const float* products = nullptr;
  int64_t stride = 0;     // from one of the sixteen to the next
  float* square[4] = {};  // its pixels, row by row
  int64_t channels = 0;
  Bounds bounds = bounds_of(Activation::kNone);
};

struct WinogradKernel {
  Isa isa;
  int64_t lanes;  // of a vector
  void (*input)(const WinogradInput& args);
  void (*output)(const WinogradOutput& args);
};

// The one list of variants: declarations, the choice, tests and benchmarks all come from it.
#define SEAFORMER_WINOGRAD_VARIANTS(X, ...) SEAFORMER_BUILT_ISAS(winograd, X, __VA_ARGS__)

SEAFORMER_WINOGRAD_VARIANTS(SEAFORMER_DECLARE_VARIANT, WinogradKernel, winograd_kernel)

}  // namespace seaformer
