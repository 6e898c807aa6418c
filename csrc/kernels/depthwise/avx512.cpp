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
SEAFORMER_SHARED_TILES(kWhole, SEAFORMER_TILE_AVX512)
SEAFORMER_SHARED_TILES(kHalf, SEAFORMER_TILE_AVX512_HALF)
SEAFORMER_TILES(16, kWhole, SEAFORMER_TILE_AVX512)

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
