#include "simd/avx512.h"

#include "kernels/pointwise/operands.h"
#include "kernels/pointwise/x86_tiles.inc"
#include "simd/last_vector.h"

namespace seaformer {
namespace avx512 {
namespace {

// In the first 16 registers ("x"), since clang misprints the names of halves of the others.
#define SEAFORMER_SUM(p, v) [sum##p##v] "=&x"(sum[p][v].x)
#define SEAFORMER_SUMS(v)                                                             \
  SEAFORMER_SUM(0, v), SEAFORMER_SUM(1, v), SEAFORMER_SUM(2, v), SEAFORMER_SUM(3, v), \
      SEAFORMER_SUM(4, v), SEAFORMER_SUM(5, v), SEAFORMER_SUM(6, v), SEAFORMER_SUM(7, v)

// sum_products of generic.h for a tile that x86_tiles.py wrote.
#define SEAFORMER_SUM_PRODUCTS(vectors, kind, code, ...)                                       \
  SEAFORMER_INLINE int64_t sum_products(const Operands<float>& from, F32(&sum)[8][vectors],    \
                                        LastIs<Last::kind>) {                                  \
    int64_t groups = from.in_channels / 4;                                                     \
    const float *input0 = from.input, *input4 = input0 + 4 * from.input_stride;                \
    const float* weights = from.weights;                                                       \
    asm volatile(code                                                                          \
                 : __VA_ARGS__, [input0] "+r"(input0), [input4] "+r"(input4),                  \
                   [weights] "+r"(weights), [groups] "+r"(groups)                              \
                 : [stride] "r"(4 * from.input_stride), [stride3] "r"(12 * from.input_stride), \
                   [panel] "r"(4 * from.panel)                                                 \
                 : "cc", "memory", "zmm30", "zmm31");                                          \
    return from.in_channels / 4 * 4;                                                           \
  }
SEAFORMER_SUM_PRODUCTS(2, kWhole, SEAFORMER_TILE_AVX512_8X2, SEAFORMER_SUMS(0), SEAFORMER_SUMS(1))
SEAFORMER_SUM_PRODUCTS(2, kPart, SEAFORMER_TILE_AVX512_8X2, SEAFORMER_SUMS(0), SEAFORMER_SUMS(1))
SEAFORMER_SUM_PRODUCTS(2, kHalf, SEAFORMER_TILE_AVX512_8X1_AND_HALF, SEAFORMER_SUMS(0),
                       SEAFORMER_SUMS(1))
SEAFORMER_SUM_PRODUCTS(1, kWhole, SEAFORMER_TILE_AVX512_8X1, SEAFORMER_SUMS(0))
SEAFORMER_SUM_PRODUCTS(1, kPart, SEAFORMER_TILE_AVX512_8X1, SEAFORMER_SUMS(0))
SEAFORMER_SUM_PRODUCTS(1, kHalf, SEAFORMER_TILE_AVX512_8XHALF, SEAFORMER_SUMS(0))

}  // namespace
}  // namespace avx512
}  // namespace seaformer

#define SEAFORMER_ISA avx512
#define SEAFORMER_ISA_ENUM Isa::kAvx512
#define SEAFORMER_TILE_PIXELS 8
#define SEAFORMER_TILE_VECTORS 2
#include "kernels/pointwise/generic.h"
