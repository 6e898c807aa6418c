// How many multiply-adds a second this processor can do with an instruction set, from registers
// alone: no op of a model, but what benchmarks hold kernels against.
#pragma once

#include <stdint.h>

#include "core/isa.h"

namespace seaformer {

struct FmaPeak {
  Isa isa;
  int64_t macs_a_round;            // multiply-adds of one round
  float (*rounds)(int64_t count);  // their sum, which keeps a compiler from leaving them out
};

// The one list of variants: declarations, the choice, tests and benchmarks all come from it.
#define SEAFORMER_FMA_PEAK_VARIANTS(X, ...) SEAFORMER_BUILT_ISAS(fma_peak, X, __VA_ARGS__)

SEAFORMER_FMA_PEAK_VARIANTS(SEAFORMER_DECLARE_VARIANT, FmaPeak, fma_peak)

}  // namespace seaformer
