// Contract of the micro-kernels that convert elements of a map to float32 and back.
//
//   widen     to[i] = from[i]
//   narrow    to[i] = from[i], rounded to nearest, ties to even
//
// Free of std:: code, so ISA files may include it.
//
// Element   of the side that is not float32; of float32 they copy.
// Aliasing  none.
// Alignment of elements only.
// Range     what the type is too small for becomes an infinity; subnormals are kept; NaN stays NaN.
// Tails     nothing outside the stated arrays is read or written, whatever the count from 1 up.
#pragma once

#include <stdint.h>

#include "core/element.h"
#include "core/isa.h"

namespace seaformer {

struct ConvertKernel {
  Isa isa;
  Element element;
  int64_t lanes;  // of a vector
  void (*widen)(const void* from, int64_t count, float* to);
  void (*narrow)(const float* from, int64_t count, void* to);
};

#define SEAFORMER_ROW(isa, element) \
  SEAFORMER_IF_BUILT(convert, isa, SEAFORMER_DECLARE_VARIANT, ConvertKernel, convert_##element)
#include "kernels/convert/variants.inc"
#undef SEAFORMER_ROW

}  // namespace seaformer
