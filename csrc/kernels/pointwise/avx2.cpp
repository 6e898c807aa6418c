#include "simd/avx2.h"
#define SEAFORMER_ISA avx2
#define SEAFORMER_ISA_ENUM Isa::kAvx2
#define SEAFORMER_TILE_PIXELS 6
#define SEAFORMER_TILE_VECTORS 2
#include "kernels/pointwise/generic.h"
