#include "simd/neon.h"

#define SEAFORMER_ISA neon
#define SEAFORMER_ISA_ENUM Isa::kNeon
#include "kernels/pointwise/pointwise.h"
#include "kernels/pointwise/widen_panel.h"

namespace seaformer {
namespace neon {
namespace {

using Scalar = float;
using Number = float;
constexpr int kTilePixels = 4, kTwoPanelPixels = 0;
#include "kernels/pointwise/neon_tile.inc"
#include "kernels/pointwise/neon_tiles_f32.inc"
#undef SEAFORMER_TILES
#include "kernels/pointwise/neon_rows.inc"
#include "simd/activations.inc"

}  // namespace

extern const PointwiseKernel pointwise_f32;
const PointwiseKernel pointwise_f32 = {Isa::kNeon, Element::kF32, Element::kF32,
                                       kLanes,     run,           widen_panel<float>};

}  // namespace neon
}  // namespace seaformer

#include "kernels/pointwise/widened.h"
