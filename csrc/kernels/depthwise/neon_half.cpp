// float16 in memory, for cores that do not calculate with it: float32 in registers.
#include "kernels/depthwise/depthwise.h"
#include "simd/neon.h"

namespace seaformer {
namespace neon {
namespace {

using Scalar = Half;
using Number = float;
#include "kernels/depthwise/neon_tile.inc"
#include "kernels/depthwise/neon_tiles_half.inc"
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

extern const DepthwiseKernel depthwise_f16;
const DepthwiseKernel depthwise_f16 = {Isa::kNeon, Element::kF16, Element::kF32, kLanes, run<Half>};

}  // namespace neon
}  // namespace seaformer
