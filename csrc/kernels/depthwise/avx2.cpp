#include "simd/avx2.h"
#define SEAFORMER_ISA avx2
#define SEAFORMER_ISA_ENUM Isa::kAvx2
#define SEAFORMER_TILE_PIXELS 8
#define SEAFORMER_TILE_VECTORS 1
#include "kernels/depthwise/generic.h"
