#include "simd/avx512.h"

#include "kernels/depthwise/taps.h"
#include "kernels/depthwise/x86_tiles.inc"
#include "simd/last_vector.h"

namespace seaformer {
namespace avx512 {
namespace {

#define SEAFORMER_REGISTER "v"
#define SEAFORMER_CLOBBERS "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31"
#include "kernels/depthwise/x86_sum_taps.inc"
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
#define SEAFORMER_TILE_PIXELS 16
#define SEAFORMER_TILE_VECTORS 1
#include "kernels/depthwise/generic.h"

namespace seaformer {
namespace avx512 {

extern const DepthwiseKernel depthwise_f32, depthwise_f16, depthwise_bf16;
const DepthwiseKernel depthwise_f32 = {Isa::kAvx512, Element::kF32, Element::kF32, kLanes,
                                       run<float>};
const DepthwiseKernel depthwise_f16 = {Isa::kAvx512, Element::kF16, Element::kF32, kLanes,
                                       run<Half>};
const DepthwiseKernel depthwise_bf16 = {Isa::kAvx512, Element::kBF16, Element::kF32, kLanes,
                                        run<BFloat16>};

}  // namespace avx512
}  // namespace seaformer
