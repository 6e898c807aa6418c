#include "simd/bytes_neon.h"

#define SEAFORMER_ISA neon
#define SEAFORMER_ISA_ENUM Isa::kNeon
#include "kernels/int8_gate/generic.h"
