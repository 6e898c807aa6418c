// Eight lanes of float16, for cores that calculate with it (ARMv8.2-A FP16).
#pragma once

#include <arm_neon.h>
#include <stdint.h>

#include "core/element.h"
#include "simd/macros.h"

namespace seaformer {
namespace neon_fp16 {
namespace {

constexpr int kLanes = 8;
using F16 = float16x8_t;

SEAFORMER_INLINE F16 load(const Half* p) {
  return vld1q_f16(reinterpret_cast<const float16_t*>(p));
}
SEAFORMER_INLINE void store(Half* p, F16 a) { vst1q_f16(reinterpret_cast<float16_t*>(p), a); }
SEAFORMER_INLINE F16 splat(float x) { return vdupq_n_f16(static_cast<float16_t>(x)); }
SEAFORMER_INLINE F16 mul(F16 a, F16 b) { return vmulq_f16(a, b); }
SEAFORMER_INLINE F16 add(F16 a, F16 b) { return vaddq_f16(a, b); }

SEAFORMER_INLINE F16 fma(F16 a, F16 b, F16 c) { return vfmaq_f16(c, a, b); }
SEAFORMER_INLINE F16 accumulate(F16 a, F16 b, F16 c) { return fma(a, b, c); }
SEAFORMER_INLINE F16 at_least(F16 x, F16 low) { return vmaxq_f16(x, low); }
SEAFORMER_INLINE F16 at_most(F16 x, F16 high) { return vminq_f16(x, high); }

// From and to numbers of either type.
SEAFORMER_INLINE F16 load(const float* p) {
  return vcombine_f16(vcvt_f16_f32(vld1q_f32(p)), vcvt_f16_f32(vld1q_f32(p + 4)));
}
SEAFORMER_INLINE void store(float* p, F16 a) {
  vst1q_f32(p, vcvt_f32_f16(vget_low_f16(a)));
  vst1q_f32(p + 4, vcvt_high_f32_f16(a));
}
template <class T>
SEAFORMER_INLINE F16 load_first(const T* p, int n) {
  if (n == kLanes) return load(p);
  T lanes[kLanes] = {};
  __builtin_memcpy(lanes, p, n * sizeof(T));
  return load(lanes);
}
template <class T>
SEAFORMER_INLINE void store_first(T* p, F16 a, int n) {
  if (n == kLanes) return store(p, a);
  T lanes[kLanes];
  store(lanes, a);
  __builtin_memcpy(p, lanes, n * sizeof(T));
}

#include "simd/group.inc"
#undef SEAFORMER_BINARY
#undef SEAFORMER_EACH

}  // namespace
}  // namespace neon_fp16
}  // namespace seaformer
