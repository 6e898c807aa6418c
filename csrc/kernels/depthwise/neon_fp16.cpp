#include "simd/neon_fp16.h"

#include "kernels/depthwise/depthwise.h"

namespace seaformer {
namespace neon_fp16 {
namespace {

using Scalar = Half;
using Number = float16_t;
#include "kernels/depthwise/neon_tile.inc"
#include "kernels/depthwise/neon_tiles_f16.inc"
#undef SEAFORMER_TILES
#include "kernels/depthwise/neon_rows.inc"

}  // namespace
}  // namespace neon_fp16
}  // namespace seaformer

#define SEAFORMER_ISA neon_fp16
#define SEAFORMER_TILE_PIXELS 4
#define SEAFORMER_TILE_VECTORS 1
#include "kernels/depthwise/generic.h"

namespace seaformer {
namespace neon_fp16 {

extern const DepthwiseKernel depthwise_f16;
const DepthwiseKernel depthwise_f16 = {Isa::kNeonFp16, Element::kF16, Element::kF16, kLanes,
                                       run<Half>};

}  // namespace neon_fp16
}  // namespace seaformer
