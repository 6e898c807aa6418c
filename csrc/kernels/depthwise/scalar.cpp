#include "simd/scalar.h"
#define SEAFORMER_ISA scalar
#define SEAFORMER_ISA_ENUM Isa::kScalar
#define SEAFORMER_TILE_PIXELS 4
#define SEAFORMER_TILE_VECTORS 4
#include "kernels/depthwise/generic.h"
