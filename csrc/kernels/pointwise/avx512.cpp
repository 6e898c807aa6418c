#include "simd/avx512.h"

#include "kernels/pointwise/operands.h"
#include "kernels/pointwise/x86_tiles.inc"
#include "simd/last_vector.h"

namespace seaformer {
namespace avx512 {
namespace {

#define SEAFORMER_CLOBBERS "xmm29", "xmm30", "xmm31"
#include "kernels/pointwise/x86_sum_products.inc"
#define SEAFORMER_TILES(pixels)                                                   \
  SEAFORMER_SUM_PRODUCTS(pixels, 1, kWhole, SEAFORMER_TILE_AVX512_##pixels##X1)   \
  SEAFORMER_SUM_PRODUCTS(pixels, 1, kPart, SEAFORMER_TILE_AVX512_##pixels##X1)    \
  SEAFORMER_SUM_PRODUCTS(pixels, 1, kHalf, SEAFORMER_TILE_AVX512_##pixels##XHALF) \
  SEAFORMER_SUM_PRODUCTS(pixels, 2, kWhole, SEAFORMER_TILE_AVX512_##pixels##X2)   \
  SEAFORMER_SUM_PRODUCTS(pixels, 2, kPart, SEAFORMER_TILE_AVX512_##pixels##X2)    \
  SEAFORMER_SUM_PRODUCTS(pixels, 2, kHalf, SEAFORMER_TILE_AVX512_##pixels##X1_AND_HALF)
SEAFORMER_TILES(1)
SEAFORMER_TILES(2)
SEAFORMER_TILES(3)
SEAFORMER_TILES(4)
SEAFORMER_TILES(5)
SEAFORMER_TILES(6)
SEAFORMER_TILES(7)
SEAFORMER_TILES(8)

}  // namespace
}  // namespace avx512
}  // namespace seaformer

#define SEAFORMER_ISA avx512
#define SEAFORMER_ISA_ENUM Isa::kAvx512
#define SEAFORMER_TILE_PIXELS 8
#define SEAFORMER_TILE_VECTORS 2
#include "kernels/pointwise/generic.h"
