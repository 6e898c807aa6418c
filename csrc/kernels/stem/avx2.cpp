#include "simd/avx2.h"
#define SEAFORMER_ISA avx2
#define SEAFORMER_ISA_ENUM Isa::kAvx2
#define SEAFORMER_TILE_PIXELS 4
#include "kernels/stem/generic.h"
