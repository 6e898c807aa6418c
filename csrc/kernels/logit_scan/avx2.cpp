#include "simd/avx2.h"
#define SEAFORMER_ISA avx2
#define SEAFORMER_ISA_ENUM Isa::kAvx2
#include "kernels/logit_scan/generic.h"
