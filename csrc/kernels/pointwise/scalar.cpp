#include "simd/scalar.h"
#define SEAFORMER_ISA scalar
#define SEAFORMER_ISA_ENUM Isa::kScalar
#define SEAFORMER_TILE_PIXELS 2
#define SEAFORMER_TILE_VECTORS 8
#include "kernels/pointwise/generic.h"
