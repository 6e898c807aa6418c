#include "simd/neon_fp16.h"

#include "kernels/depthwise/depthwise.h"

namespace seaformer {
namespace neon_fp16 {
namespace {

using Number = float16_t;
#include "kernels/depthwise/neon_tile.inc"
#include "kernels/depthwise/neon_tiles_f16.inc"
#undef SEAFORMER_TILES
#include "kernels/depthwise/neon_rows.inc"

// Writes the first channels, as many as the assembly serves; returns that number.
template <int size, int stride, class T>
SEAFORMER_INLINE int64_t leading_channels(const Depthwise& args) {
  if (args.width < 4) return 0;
  const int64_t panels = args.channels / kPanel * kPanel;
  if (panels > 0) whole_row<size, stride, 8, 2>(args, 0, panels);
  if (args.channels - panels < kLanes) return panels;
  whole_row<size, stride, 8, 1>(args, panels, kLanes);
  return panels + kLanes;
}

}  // namespace
}  // namespace neon_fp16
}  // namespace seaformer

#define SEAFORMER_ISA neon_fp16
#define SEAFORMER_TILE_PIXELS 4
#define SEAFORMER_TILE_VECTORS 1
#define SEAFORMER_LEADING_CHANNELS
#include "kernels/depthwise/generic.h"

namespace seaformer {
namespace neon_fp16 {

extern const DepthwiseKernel depthwise_f16;
const DepthwiseKernel depthwise_f16 = {Isa::kNeonFp16, Element::kF16, Element::kF16, kLanes,
                                       run<Half>};

}  // namespace neon_fp16
}  // namespace seaformer
