#include "simd/neon.h"
#define SEAFORMER_ISA neon
#define SEAFORMER_ISA_ENUM Isa::kNeon
#define SEAFORMER_TILE_PIXELS 4
#define SEAFORMER_TILE_VECTORS 2
#include "kernels/depthwise/generic.h"
