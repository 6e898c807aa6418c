#include "simd/neon_fp16.h"

#define SEAFORMER_ISA neon_fp16
#include "kernels/pointwise/pointwise.h"
#include "kernels/pointwise/widen_panel.h"

namespace seaformer {
namespace neon_fp16 {
namespace {

using Scalar = Half;
using Number = float16_t;
constexpr int64_t kTilePixels = 8;
// Pixels four behind others, and totals of the sums of a tile.
#define SEAFORMER_MORE_LOCALS \
  int64_t totalled;           \
  F16 totals[16];
#define SEAFORMER_MORE_OUTPUTS , [totalled] "=&r"(totalled)
#define SEAFORMER_MORE_INPUTS , [far] "r"(4 * args.input.stride), [totals] "r"(totals)
#include "kernels/pointwise/neon_tile.inc"
#include "kernels/pointwise/neon_tiles_f16.inc"
#undef SEAFORMER_TILES
#include "kernels/pointwise/neon_rows.inc"

}  // namespace

extern const PointwiseKernel pointwise_f16;
const PointwiseKernel pointwise_f16 = {Isa::kNeonFp16, Element::kF16, Element::kF16,
                                       kLanes,         run,           widen_panel<Half>};

}  // namespace neon_fp16
}  // namespace seaformer
