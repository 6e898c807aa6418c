#include "simd/neon.h"

#include "kernels/depthwise/depthwise.h"

namespace seaformer {
namespace neon {
namespace {

using Scalar = float;
using Number = float;
#include "kernels/depthwise/neon_tile.inc"
#include "kernels/depthwise/neon_tiles_f32.inc"
#undef SEAFORMER_TILES
#include "kernels/depthwise/neon_rows.inc"

}  // namespace
}  // namespace neon
}  // namespace seaformer

#define SEAFORMER_ISA neon
#define SEAFORMER_TILE_PIXELS 4
#define SEAFORMER_TILE_VECTORS 2
#include "kernels/depthwise/generic.h"

namespace seaformer {
namespace neon {

extern const DepthwiseKernel depthwise_f32, depthwise_bf16;
const DepthwiseKernel depthwise_f32 = {Isa::kNeon, Element::kF32, Element::kF32, kLanes,
                                       run<float>};
const DepthwiseKernel depthwise_bf16 = {Isa::kNeon, Element::kBF16, Element::kF32, kLanes,
                                        run<BFloat16>};

}  // namespace neon
}  // namespace seaformer
