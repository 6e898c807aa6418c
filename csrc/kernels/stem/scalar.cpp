#include "simd/scalar.h"
#define SEAFORMER_ISA scalar
#define SEAFORMER_ISA_ENUM Isa::kScalar
#define SEAFORMER_TILE_PIXELS 2
#include "kernels/stem/generic.h"
