// float16 in memory, for cores that do not calculate with it: float32 in registers.
#include "kernels/pointwise/pointwise.h"
#include "simd/neon.h"

namespace seaformer {
namespace neon {
namespace {

using Scalar = Half;
using Number = float;
constexpr int64_t kTilePixels = 4;
#include "kernels/pointwise/neon_tile.inc"
#include "kernels/pointwise/neon_tiles_half.inc"
#undef SEAFORMER_TILES
#include "kernels/pointwise/neon_rows.inc"

}  // namespace

extern const PointwiseKernel pointwise_f16;
const PointwiseKernel pointwise_f16 = {Isa::kNeon, Element::kF16, Element::kF32, kLanes, run};

}  // namespace neon
}  // namespace seaformer
