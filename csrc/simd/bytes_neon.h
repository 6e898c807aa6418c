// Numbers between int8 and float32, sixteen at a time.
#pragma once

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

#include "core/quantized.h"
#include "simd/macros.h"

namespace seaformer {
namespace neon {
namespace {

constexpr int kVector = 16;
struct F32 {
  float32x4_t x[4];
};

template <class Body>
SEAFORMER_INLINE F32 each(const Body& body) {
  return {{body(0), body(1), body(2), body(3)}};
}
SEAFORMER_INLINE F32 load(const float* p) {
  return each([&](int i) { return vld1q_f32(p + 4 * i); });
}
SEAFORMER_INLINE F32 splat(float x) {
  return each([&](int) { return vdupq_n_f32(x); });
}
SEAFORMER_INLINE F32 mul(const F32& a, const F32& b) {
  return each([&](int i) { return vmulq_f32(a.x[i], b.x[i]); });
}
SEAFORMER_INLINE F32 sub(const F32& a, const F32& b) {
  return each([&](int i) { return vsubq_f32(a.x[i], b.x[i]); });
}
SEAFORMER_INLINE F32 add(const F32& a, const F32& b) {
  return each([&](int i) { return vaddq_f32(a.x[i], b.x[i]); });
}
SEAFORMER_INLINE F32 at_least(const F32& a, const F32& low) {
  return each([&](int i) { return vmaxq_f32(a.x[i], low.x[i]); });
}
SEAFORMER_INLINE F32 at_most(const F32& a, const F32& high) {
  return each([&](int i) { return vminq_f32(a.x[i], high.x[i]); });
}
SEAFORMER_INLINE F32 fma(const F32& a, const F32& b, const F32& c) {
  return each([&](int i) { return vfmaq_f32(c.x[i], a.x[i], b.x[i]); });
}
SEAFORMER_INLINE void store_rounded(int8_t* p, const F32& a, int32_t zero) {
  const int16x8_t zeros = vdupq_n_s16(static_cast<int16_t>(zero));
  const auto words = [&](int i) {
    const int16x4_t low = vqmovn_s32(vcvtnq_s32_f32(a.x[i]));
    return vqaddq_s16(vqmovn_high_s32(low, vcvtnq_s32_f32(a.x[i + 1])), zeros);
  };
  vst1q_s8(p, vqmovn_high_s16(vqmovn_s16(words(0)), words(2)));
}
SEAFORMER_INLINE void store_bits(int8_t* p, const F32& a) {
  // The lower halves are the numbers.
  const auto words = [&](int i) {
    return vuzp1q_s16(vreinterpretq_s16_f32(a.x[i]), vreinterpretq_s16_f32(a.x[i + 1]));
  };
  vst1q_s8(p, vqmovn_high_s16(vqmovn_s16(words(0)), words(2)));
}
SEAFORMER_INLINE F32 load_bytes(const int8_t* p) {
  const int8x16_t bytes = vld1q_s8(p);
  const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_high_s8(bytes);
  return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_high_s16(low)),
           vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_high_s16(high))}};
}
SEAFORMER_INLINE void store(float* p, const F32& a) {
  for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, a.x[i]);
}

// Of 4 x 4 bytes; rows of the result are `stride` apart.
SEAFORMER_INLINE void transpose_quad(const int8_t* from, int8_t* to, int64_t stride) {
  constexpr uint8_t kOrder[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
  const int32x4_t rows = vreinterpretq_s32_s8(vqtbl1q_s8(vld1q_s8(from), vld1q_u8(kOrder)));
  const auto put = [&](int i, int32_t x) { __builtin_memcpy(to + i * stride, &x, sizeof x); };
  put(0, vgetq_lane_s32(rows, 0));
  put(1, vgetq_lane_s32(rows, 1));
  put(2, vgetq_lane_s32(rows, 2));
  put(3, vgetq_lane_s32(rows, 3));
}

}  // namespace
}  // namespace neon
}  // namespace seaformer
