// Contract of the micro-kernels that activate pixels in place: of convolutions whose kernels leave
// that to a pass of its own.
//
//   pixels[p][c] = activation(pixels[p][c]) + residual[p][c]                  residual: optional
//
// Free of std:: code, so ISA files may include it.
//
// Element   of both arrays; it is calculated in float32.
// Layout    the channels of a pixel contiguous; strides count bytes between pixels.
// Aliasing  none.
// Alignment of elements only.
// Error     some roundings of float32, of the terms: x and, below it, what it is multiplied with.
// NaN       and infinities as in PyTorch: NaN stays, and of minus infinity hardswish, SiLU and
// GELUs
//           make one.
// Tails     nothing outside the stated arrays is read or written, whatever the sizes from 1 up.
#pragma once

#include <stdint.h>

#include "core/activation.h"
#include "core/element.h"
#include "core/isa.h"
#include "core/pixels.h"

namespace seaformer {

struct Activate {
  OutPixels pixels;
  InPixels residual;  // or none
  int64_t count = 0, channels = 0;
  Activation activation = Activation::kNone;
};

struct ActivateKernel {
  Isa isa;
  Element element;
  int64_t lanes;  // of a vector
  void (*run)(const Activate& args);
};

#define SEAFORMER_ROW(isa, element) \
  SEAFORMER_IF_BUILT(activate, isa, SEAFORMER_DECLARE_VARIANT, ActivateKernel, activate_##element)
#include "kernels/activate/variants.inc"
#undef SEAFORMER_ROW

}  // namespace seaformer
