// Contract of the micro-kernels that convert elements of a map: float16 to float32 and back.
//
//   widen     to[i] = from[i]
//   narrow    to[i] = from[i], rounded to nearest, ties to even
//
// Free of std:: code, so ISA files may include it.
//
// Aliasing  none.
// Alignment of elements only.
// Range     what float16 is too small for becomes an infinity; subnormals are kept; NaN stays NaN.
// Tails     nothing outside the stated arrays is read or written, whatever the count from 1 up.
#pragma once

#include <stdint.h>

#include "core/element.h"
#include "core/isa.h"

namespace seaformer {

struct ConvertKernel {
  Isa isa;
  int64_t lanes;  // of a vector
  void (*widen)(const Half* from, int64_t count, float* to);
  void (*narrow)(const float* from, int64_t count, Half* to);
};

// The one list of variants: declarations, the choice, tests and benchmarks all come from it.
#define SEAFORMER_CONVERT_VARIANTS(X, ...) SEAFORMER_BUILT_ISAS(convert, X, __VA_ARGS__)

SEAFORMER_CONVERT_VARIANTS(SEAFORMER_DECLARE_VARIANT, ConvertKernel, convert_kernel)

}  // namespace seaformer
