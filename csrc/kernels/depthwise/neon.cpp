#include "simd/neon.h"

#include "kernels/depthwise/depthwise.h"

namespace seaformer {
namespace neon {
namespace {

using Number = float;
#include "kernels/depthwise/neon_tile.inc"
#include "kernels/depthwise/neon_tiles_f32.inc"
#undef SEAFORMER_TILES
#include "kernels/depthwise/neon_rows.inc"

// Writes the first channels, as many as the assembly serves; returns that number.
template <int size, int stride, class T>
SEAFORMER_INLINE int64_t leading_channels(const Depthwise& args) {
  int64_t channel = 0;
  if (size == 3 && args.width >= 2 && args.channels >= kPanel) {
    channel = args.channels / kPanel * kPanel;
    whole_row<3, stride, 4, 4>(args, 0, channel);
  }
  const int64_t halves = (args.channels - channel) / 8 * 8;
  if (args.width < 4 || halves == 0) return channel;
  whole_row<size, stride, 8, 2>(args, channel, halves);
  return channel + halves;
}

}  // namespace
}  // namespace neon
}  // namespace seaformer

#define SEAFORMER_ISA neon
#define SEAFORMER_TILE_PIXELS 4
#define SEAFORMER_TILE_VECTORS 2
#define SEAFORMER_LEADING_CHANNELS
#include "kernels/depthwise/generic.h"

namespace seaformer {
namespace neon {

extern const DepthwiseKernel depthwise_f32;
const DepthwiseKernel depthwise_f32 = {Isa::kNeon, Element::kF32, Element::kF32, kLanes,
                                       run<float>};

}  // namespace neon
}  // namespace seaformer
