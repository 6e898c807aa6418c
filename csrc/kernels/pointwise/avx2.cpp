#include "simd/avx2.h"

#include "kernels/pointwise/operands.h"
#include "kernels/pointwise/x86_tiles.inc"
#include "simd/last_vector.h"

namespace seaformer {
namespace avx2 {
namespace {

#define SEAFORMER_CLOBBERS "xmm12", "xmm13", "xmm14"
#include "kernels/pointwise/x86_sum_products.inc"
#define SEAFORMER_TILES(pixels)                                               \
  SEAFORMER_SUM_PRODUCTS(pixels, 1, kWhole, SEAFORMER_TILE_AVX2_##pixels##X1) \
  SEAFORMER_SUM_PRODUCTS(pixels, 1, kPart, SEAFORMER_TILE_AVX2_##pixels##X1)  \
  SEAFORMER_SUM_PRODUCTS(pixels, 2, kWhole, SEAFORMER_TILE_AVX2_##pixels##X2) \
  SEAFORMER_SUM_PRODUCTS(pixels, 2, kPart, SEAFORMER_TILE_AVX2_##pixels##X2)
SEAFORMER_TILES(1)
SEAFORMER_TILES(2)
SEAFORMER_TILES(3)
SEAFORMER_TILES(4)
SEAFORMER_TILES(5)
SEAFORMER_TILES(6)

}  // namespace
}  // namespace avx2
}  // namespace seaformer

#define SEAFORMER_ISA avx2
#define SEAFORMER_ISA_ENUM Isa::kAvx2
#define SEAFORMER_TILE_PIXELS 6
#define SEAFORMER_TILE_VECTORS 2
#include "kernels/pointwise/generic.h"
