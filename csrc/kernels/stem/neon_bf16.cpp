#include "simd/neon_bf16.h"

#include "kernels/stem/stem.h"

namespace seaformer {
namespace neon_bf16 {
namespace {

using Scalar = float;
using Number = float;
constexpr int64_t kHandPixels = 4;
#include "kernels/stem/neon_tile.inc"
#include "kernels/stem/neon_tiles_bf16.inc"
#undef SEAFORMER_TILES

template <int channels>
SEAFORMER_INLINE bool row_by_hand(const Stem& args, const BFloat16*) {
  return row_of_tiles<channels, BFloat16>(args);
}

}  // namespace
}  // namespace neon_bf16
}  // namespace seaformer

#define SEAFORMER_ISA neon_bf16
#define SEAFORMER_ISA_ENUM Isa::kNeonBf16
#define SEAFORMER_TILE_PIXELS 4
#include "kernels/stem/generic.h"
