#include "simd/neon.h"
#define SEAFORMER_ISA neon
#define SEAFORMER_ISA_ENUM Isa::kNeon
#include "kernels/winograd/generic.h"
