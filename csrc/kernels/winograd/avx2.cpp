#include "simd/avx2.h"
#define SEAFORMER_ISA avx2
#define SEAFORMER_ISA_ENUM Isa::kAvx2
#include "kernels/winograd/generic.h"
