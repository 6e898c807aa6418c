#include "simd/neon_fp16.h"
#define SEAFORMER_ISA neon_fp16
#define SEAFORMER_ISA_ENUM Isa::kNeonFp16
#define SEAFORMER_HALF_SUMS
#include "kernels/bilinear/generic.h"
