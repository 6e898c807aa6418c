// Contract of the micro-kernel that finds the logits of a detector which pass a threshold.
//
//   for each i from 0 up with x[i] >= least:  found[n] = i, values[n] = x[i], n counted from 0
//
// Free of std:: code, so ISA files may include it.
//
// Element   of the logits; values are float32, in which it is compared.
// Aliasing  none.
// Alignment of elements only.
// NaN       passes no threshold, and nothing passes a threshold that is NaN.
// Tails     nothing outside the stated arrays is read or written, whatever the count from 1 up;
//           found and values have room for `count`.
#pragma once

#include <stdint.h>

#include "core/element.h"
#include "core/isa.h"

namespace seaformer {

struct LogitScanKernel {
  Isa isa;
  Element element;
  int64_t lanes;  // of a vector
  // Returns how many were found.
  int64_t (*at_least)(const void* x, int64_t count, float least, int32_t* found, float* values);
};

#define SEAFORMER_ROW(isa, element)                                               \
  SEAFORMER_IF_BUILT(logit_scan, isa, SEAFORMER_DECLARE_VARIANT, LogitScanKernel, \
                     logit_scan_##element)
#include "kernels/logit_scan/variants.inc"
#undef SEAFORMER_ROW

}  // namespace seaformer
