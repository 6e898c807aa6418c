// Contract of the micro-kernels of squeeze-and-excite that see whole maps: the sums of pixels, and
// their product with a number a channel.
//
//   add_up   sums[c] += pixels[p][c], pixel by pixel
//   scale    pixels[p][c] *= by[c]
//
// Free of std:: code, so ISA files may include it.
//
// Element   of the pixels; sums and factors are float32, in which it is calculated.
// Layout    the channels of a pixel contiguous; strides count bytes between pixels.
// Aliasing  none.
// Alignment of elements only.
// NaN       and infinities as in PyTorch.
// Tails     nothing outside the stated arrays is read or written, whatever the sizes from 1 up.
#pragma once

#include <stdint.h>

#include "core/element.h"
#include "core/isa.h"
#include "core/pixels.h"

namespace seaformer {

struct SqueezeExciteKernel {
  Isa isa;
  Element element;
  int64_t lanes;  // of a vector
  void (*add_up)(const InPixels& pixels, int64_t count, int64_t channels, float* sums);
  void (*scale)(const OutPixels& pixels, int64_t count, int64_t channels, const float* by);
};

#define SEAFORMER_ROW(isa, element)                                                       \
  SEAFORMER_IF_BUILT(squeeze_excite, isa, SEAFORMER_DECLARE_VARIANT, SqueezeExciteKernel, \
                     squeeze_excite_##element)
#include "kernels/squeeze_excite/variants.inc"
#undef SEAFORMER_ROW

}  // namespace seaformer
