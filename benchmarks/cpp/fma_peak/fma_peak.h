// How many multiply-adds a second this processor can do with an instruction set, from registers
// alone.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace seaformer {

struct FmaPeak {
  Isa isa;
  int64_t macs_a_round;  // multiply-adds of one round
  float (*rounds)(int64_t count);
};

SEAFORMER_BUILT_ISAS(SEAFORMER_DECLARE_VARIANT, FmaPeak, fma_peak)

}  // namespace seaformer
