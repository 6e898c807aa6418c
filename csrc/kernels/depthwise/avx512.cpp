#include "simd/avx512.h"
#define SEAFORMER_ISA avx512
#define SEAFORMER_ISA_ENUM Isa::kAvx512
#define SEAFORMER_TILE_PIXELS 8
#define SEAFORMER_TILE_VECTORS 1
#include "kernels/depthwise/generic.h"
