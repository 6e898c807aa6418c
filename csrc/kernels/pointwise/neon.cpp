#include "simd/neon.h"
#define SEAFORMER_ISA neon
#define SEAFORMER_ISA_ENUM Isa::kNeon
#define SEAFORMER_TILE_PIXELS 4
#define SEAFORMER_TILE_VECTORS 4
#include "kernels/pointwise/generic.h"
