#include "simd/scalar.h"
#define SEAFORMER_ISA scalar
#define SEAFORMER_ISA_ENUM Isa::kScalar
#include "kernels/fma_peak/generic.h"
