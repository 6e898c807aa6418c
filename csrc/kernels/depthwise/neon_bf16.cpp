// bfloat16 in memory and float32 in registers: its own products come in pairs that add up, which
// single channels have no use for.
#include "simd/neon_bf16.h"

#include "kernels/depthwise/depthwise.h"

namespace seaformer {
namespace neon_bf16 {
namespace {

using Scalar = BFloat16;
using Number = float;
#include "kernels/depthwise/neon_tile.inc"
#include "kernels/depthwise/neon_tiles_bf16.inc"
#undef SEAFORMER_TILES
#include "kernels/depthwise/neon_rows.inc"

}  // namespace
}  // namespace neon_bf16
}  // namespace seaformer

#define SEAFORMER_ISA neon_bf16
#define SEAFORMER_TILE_PIXELS 4
#define SEAFORMER_TILE_VECTORS 2
#include "kernels/depthwise/generic.h"

namespace seaformer {
namespace neon_bf16 {

extern const DepthwiseKernel depthwise_bf16;
const DepthwiseKernel depthwise_bf16 = {Isa::kNeonBf16, Element::kBF16, Element::kF32, kLanes,
                                        run<BFloat16>};

}  // namespace neon_bf16
}  // namespace seaformer
