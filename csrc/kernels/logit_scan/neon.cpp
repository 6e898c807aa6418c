#include "simd/neon.h"
#define SEAFORMER_ISA neon
#define SEAFORMER_ISA_ENUM Isa::kNeon
#include "kernels/logit_scan/generic.h"
