#include "simd/neon.h"

#include "kernels/stem/stem.h"

namespace seaformer {
namespace neon {
namespace {

using Scalar = float;
constexpr int64_t kHandPixels = 4;
#include "kernels/stem/neon_tile.inc"
#include "kernels/stem/neon_tiles_f32.inc"
#include "kernels/stem/neon_tiles_half.inc"
#undef SEAFORMER_TILES

// Computes a row if the assembly serves it.
template <int channels, class T>
SEAFORMER_INLINE bool row_by_hand(const Stem& args) {
  if (args.width < kHandPixels || args.out_channels % kPanel != 0) return false;
  whole_panels<channels, T>(args);
  return true;
}

}  // namespace
}  // namespace neon
}  // namespace seaformer

#define SEAFORMER_ISA neon
#define SEAFORMER_ISA_ENUM Isa::kNeon
#define SEAFORMER_TILE_PIXELS 4
#define SEAFORMER_ROW_BY_HAND
#include "kernels/stem/generic.h"
