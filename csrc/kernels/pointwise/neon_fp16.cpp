#include "simd/neon_fp16.h"

#define SEAFORMER_ISA neon_fp16
#include "kernels/pointwise/pointwise.h"
#include "kernels/pointwise/widen_panel.h"

namespace seaformer {
namespace neon_fp16 {
namespace {

using Scalar = Half;
using Number = float16_t;
constexpr int kTilePixels = 8, kTwoPanelPixels = 4;
// What leads to pixels four behind others, or to the second of two panels; and repeated biases with
// totals of the sums of a tile.
#define SEAFORMER_MORE_LOCALS \
  int64_t far, totalled;      \
  F16 totals[4 + 16];
#define SEAFORMER_MORE_OUTPUTS , [far] "=&r"(far), [totalled] "=&r"(totalled)
#define SEAFORMER_MORE_INPUTS , [totals] "r"(totals)
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
