#include "simd/avx512.h"

#include "kernels/depthwise/taps.h"
#include "kernels/depthwise/x86_tiles.inc"
#include "simd/last_vector.h"

namespace seaformer {
namespace avx512 {
namespace {

#define SEAFORMER_SUM(p) [sum##p] "=&v"(sum[0][p].x)
#define SEAFORMER_SUMS_8                                                                    \
  SEAFORMER_SUM(0), SEAFORMER_SUM(1), SEAFORMER_SUM(2), SEAFORMER_SUM(3), SEAFORMER_SUM(4), \
      SEAFORMER_SUM(5), SEAFORMER_SUM(6), SEAFORMER_SUM(7)
#define SEAFORMER_SUMS_16                                                                     \
  SEAFORMER_SUMS_8, SEAFORMER_SUM(8), SEAFORMER_SUM(9), SEAFORMER_SUM(10), SEAFORMER_SUM(11), \
      SEAFORMER_SUM(12), SEAFORMER_SUM(13), SEAFORMER_SUM(14), SEAFORMER_SUM(15)
#define SEAFORMER_ROWS_3 [row0] "+r"(row0), [row1] "+r"(row1), [row2] "+r"(row2)
#define SEAFORMER_ROWS_5 SEAFORMER_ROWS_3, [row3] "+r"(row3), [row4] "+r"(row4)

// sum_taps of generic.h for a tile that x86_tiles.py wrote.
#define SEAFORMER_SUM_TAPS(size, stride, pixels, kind, code)                                     \
  SEAFORMER_INLINE void sum_taps(Taps<size, stride>, const float* const* rows, int64_t step,     \
                                 const float* weights, F32(&sum)[1][pixels], LastIs<Last::kind>, \
                                 int) {                                                          \
    const float *row0 = rows[0], *row1 = rows[1], *row2 = rows[2];                               \
    [[maybe_unused]] const float *row3 = rows[size - 2], *row4 = rows[size - 1];                 \
    asm volatile(code                                                                            \
                 : SEAFORMER_SUMS_##pixels, SEAFORMER_ROWS_##size                                \
                 : [weights] "r"(weights), [step] "r"(4 * step), [step3] "r"(12 * step)          \
                 : "memory", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");              \
  }
SEAFORMER_SUM_TAPS(3, 1, 8, kWhole, SEAFORMER_TILE_AVX512_3_1_8)
SEAFORMER_SUM_TAPS(3, 1, 16, kWhole, SEAFORMER_TILE_AVX512_3_1_16)
SEAFORMER_SUM_TAPS(3, 2, 8, kWhole, SEAFORMER_TILE_AVX512_3_2_8)
SEAFORMER_SUM_TAPS(3, 2, 16, kWhole, SEAFORMER_TILE_AVX512_3_2_16)
SEAFORMER_SUM_TAPS(5, 1, 8, kWhole, SEAFORMER_TILE_AVX512_5_1_8)
SEAFORMER_SUM_TAPS(5, 1, 16, kWhole, SEAFORMER_TILE_AVX512_5_1_16)
SEAFORMER_SUM_TAPS(5, 2, 8, kWhole, SEAFORMER_TILE_AVX512_5_2_8)
SEAFORMER_SUM_TAPS(5, 2, 16, kWhole, SEAFORMER_TILE_AVX512_5_2_16)
SEAFORMER_SUM_TAPS(3, 1, 8, kHalf, SEAFORMER_TILE_AVX512_HALF_3_1_8)
SEAFORMER_SUM_TAPS(3, 2, 8, kHalf, SEAFORMER_TILE_AVX512_HALF_3_2_8)
SEAFORMER_SUM_TAPS(5, 1, 8, kHalf, SEAFORMER_TILE_AVX512_HALF_5_1_8)
SEAFORMER_SUM_TAPS(5, 2, 8, kHalf, SEAFORMER_TILE_AVX512_HALF_5_2_8)

}  // namespace
}  // namespace avx512
}  // namespace seaformer

#define SEAFORMER_ISA avx512
#define SEAFORMER_ISA_ENUM Isa::kAvx512
#define SEAFORMER_TILE_PIXELS 16
#define SEAFORMER_TILE_VECTORS 1
#include "kernels/depthwise/generic.h"
