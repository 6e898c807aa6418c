#include "simd/avx2.h"

#include "kernels/pointwise/operands.h"
#include "kernels/pointwise/x86_tiles.inc"
#include "simd/last_vector.h"

namespace seaformer {
namespace avx2 {
namespace {

#define SEAFORMER_SUM(p, v) [sum##p##v] "=&x"(sum[p][v].x)
#define SEAFORMER_SUMS(v)                                                             \
  SEAFORMER_SUM(0, v), SEAFORMER_SUM(1, v), SEAFORMER_SUM(2, v), SEAFORMER_SUM(3, v), \
      SEAFORMER_SUM(4, v), SEAFORMER_SUM(5, v)

// sum_products of generic.h for the tile that x86_tiles.py wrote.
template <Last kind>
SEAFORMER_INLINE int64_t sum_products(const Operands<float>& from, F32 (&sum)[6][2], LastIs<kind>) {
  int64_t groups = from.in_channels / 4;
  const float *input0 = from.input, *input3 = input0 + 3 * from.input_stride;
  const float* weights = from.weights;
  asm volatile(SEAFORMER_TILE_AVX2_6X2
               : SEAFORMER_SUMS(0), SEAFORMER_SUMS(1), [input0] "+r"(input0), [input3] "+r"(input3),
                 [weights] "+r"(weights), [groups] "+r"(groups)
               : [stride] "r"(4 * from.input_stride)
               : "cc", "memory", "xmm12", "xmm13", "xmm14");
  return from.in_channels / 4 * 4;
}

}  // namespace
}  // namespace avx2
}  // namespace seaformer

#define SEAFORMER_ISA avx2
#define SEAFORMER_ISA_ENUM Isa::kAvx2
#define SEAFORMER_TILE_PIXELS 6
#define SEAFORMER_TILE_VECTORS 2
#include "kernels/pointwise/generic.h"
