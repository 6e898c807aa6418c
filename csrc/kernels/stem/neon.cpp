#include "simd/neon.h"

#include "kernels/stem/stem.h"

namespace seaformer {
namespace neon {
namespace {

using Scalar = float;
using Number = float;
constexpr int64_t kHandPixels = 4;
#include "kernels/stem/neon_tile.inc"
#include "kernels/stem/neon_tiles_f32.inc"
#include "kernels/stem/neon_tiles_half.inc"
#undef SEAFORMER_TILES

template <int channels>
SEAFORMER_INLINE bool row_by_hand(const Stem& args, const float*) {
  return row_of_tiles<channels, float>(args);
}
template <int channels>
SEAFORMER_INLINE bool row_by_hand(const Stem& args, const Half*) {
  return row_of_tiles<channels, Half>(args);
}

}  // namespace
}  // namespace neon
}  // namespace seaformer

#define SEAFORMER_ISA neon
#define SEAFORMER_ISA_ENUM Isa::kNeon
#define SEAFORMER_TILE_PIXELS 4
#include "kernels/stem/generic.h"
