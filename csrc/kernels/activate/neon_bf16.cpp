#include "simd/neon_bf16.h"
#define SEAFORMER_ISA neon_bf16
#define SEAFORMER_ISA_ENUM Isa::kNeonBf16
#include "kernels/activate/generic.h"
