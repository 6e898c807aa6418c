#include "simd/scalar.h"
#define SEAFORMER_ISA scalar
#define SEAFORMER_ISA_ENUM Isa::kScalar
#include "kernels/box_overlap/generic.h"
