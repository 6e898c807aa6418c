#include "simd/neon.h"

namespace seaformer {
namespace neon {
namespace {

// With one instruction for four vectors.
SEAFORMER_INLINE F32x16 load_panel(const float* p) {
  const float32x4x4_t x = vld1q_f32_x4(p);
  return {{x.val[0], x.val[1], x.val[2], x.val[3]}};
}
// The pointer is hidden, as gcc 12 would copy the biases from one pixel's registers to the next's.
SEAFORMER_INLINE F32x16 load_biases(const float* p) {
  asm volatile("" : "+r"(p));
  return load16(p);
}

}  // namespace
}  // namespace neon
}  // namespace seaformer

#define SEAFORMER_ISA neon
#define SEAFORMER_ISA_ENUM Isa::kNeon
#define SEAFORMER_TILE_PIXELS 5
#define SEAFORMER_LOAD_PANEL
#include "kernels/stem/generic.h"
