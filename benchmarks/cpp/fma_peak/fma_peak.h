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

#define SEAFORMER_DECLARE(isa)   \
  namespace isa {                \
  extern const FmaPeak fma_peak; \
  }
SEAFORMER_BUILT_ISAS(SEAFORMER_DECLARE)
#undef SEAFORMER_DECLARE

}  // namespace seaformer
