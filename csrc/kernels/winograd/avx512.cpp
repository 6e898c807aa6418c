#include "simd/avx512.h"
#define SEAFORMER_ISA avx512
#define SEAFORMER_ISA_ENUM Isa::kAvx512
#include "kernels/winograd/generic.h"
