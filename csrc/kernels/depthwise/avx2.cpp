#include "simd/avx2.h"

#include "kernels/depthwise/taps.h"
#include "kernels/depthwise/x86_tiles.inc"
#include "simd/last_vector.h"

namespace seaformer {
namespace avx2 {
namespace {

#define SEAFORMER_REGISTER "x"
#define SEAFORMER_CLOBBERS "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
#include "kernels/depthwise/x86_sum_taps.inc"
SEAFORMER_SUM_TAPS(3, 1, 8, kWhole, SEAFORMER_TILE_AVX2_3_1_8)
SEAFORMER_SUM_TAPS(3, 2, 8, kWhole, SEAFORMER_TILE_AVX2_3_2_8)
SEAFORMER_SUM_TAPS(5, 1, 8, kWhole, SEAFORMER_TILE_AVX2_5_1_8)
SEAFORMER_SUM_TAPS(5, 2, 8, kWhole, SEAFORMER_TILE_AVX2_5_2_8)

}  // namespace
}  // namespace avx2
}  // namespace seaformer

#define SEAFORMER_ISA avx2
#define SEAFORMER_TILE_PIXELS 8
#define SEAFORMER_TILE_VECTORS 1
#include "kernels/depthwise/generic.h"

namespace seaformer {
namespace avx2 {

extern const DepthwiseKernel depthwise_f32, depthwise_f16, depthwise_bf16;
const DepthwiseKernel depthwise_f32 = {Isa::kAvx2, Element::kF32, Element::kF32, kLanes,
                                       run<float>};
const DepthwiseKernel depthwise_f16 = {Isa::kAvx2, Element::kF16, Element::kF32, kLanes, run<Half>};
const DepthwiseKernel depthwise_bf16 = {Isa::kAvx2, Element::kBF16, Element::kF32, kLanes,
                                        run<BFloat16>};

}  // namespace avx2
}  // namespace seaformer
