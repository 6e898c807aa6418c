// The vector wrapper over NEON (ARMv8.0-A): four lanes.
#pragma once

#include <arm_neon.h>
#include <stdint.h>

#include "core/element.h"
#include "simd/macros.h"

#if !defined(SEAFORMER_NEON)
#define SEAFORMER_NEON neon
#endif

namespace seaformer {
namespace SEAFORMER_NEON {
namespace {

constexpr int kLanes = 4;
using F32 = float32x4_t;
using Mask = uint32x4_t;
using I32 = int32x4_t;

SEAFORMER_INLINE F32 load(const float* p) { return vld1q_f32(p); }
SEAFORMER_INLINE I32 load_i32(const int32_t* p) { return vld1q_s32(p); }
SEAFORMER_INLINE void store(float* p, F32 a) { vst1q_f32(p, a); }
SEAFORMER_INLINE F32 splat(float x) { return vdupq_n_f32(x); }
SEAFORMER_INLINE I32 splat_i32(int32_t x) { return vdupq_n_s32(x); }
SEAFORMER_INLINE F32 mul(F32 a, F32 b) { return vmulq_f32(a, b); }
SEAFORMER_INLINE F32 fma(F32 a, F32 b, F32 c) { return vfmaq_f32(c, a, b); }
SEAFORMER_INLINE F32 sub(F32 a, F32 b) { return vsubq_f32(a, b); }
SEAFORMER_INLINE F32 div(F32 a, F32 b) { return vdivq_f32(a, b); }
SEAFORMER_INLINE F32 abs(F32 a) { return vabsq_f32(a); }
SEAFORMER_INLINE F32 max(F32 a, F32 b) { return vmaxq_f32(a, b); }
SEAFORMER_INLINE F32 min(F32 a, F32 b) { return vminq_f32(a, b); }
SEAFORMER_INLINE Mask greater(F32 a, F32 b) { return vcgtq_f32(a, b); }
SEAFORMER_INLINE Mask greater_equal(F32 a, F32 b) { return vcgeq_f32(a, b); }
SEAFORMER_INLINE Mask equal(F32 a, F32 b) { return vceqq_f32(a, b); }
SEAFORMER_INLINE Mask unordered(F32 a, F32 b) {
  return vmvnq_u32(vandq_u32(vceqq_f32(a, a), vceqq_f32(b, b)));
}
SEAFORMER_INLINE Mask either(Mask a, Mask b) { return vorrq_u32(a, b); }
SEAFORMER_INLINE F32 select(Mask m, F32 a, F32 b) { return vbslq_f32(m, a, b); }
SEAFORMER_INLINE I32 select(Mask m, I32 a, I32 b) { return vbslq_s32(m, a, b); }
SEAFORMER_INLINE F32 at_least(F32 x, F32 low) { return vmaxq_f32(x, low); }
SEAFORMER_INLINE F32 at_most(F32 x, F32 high) { return vminq_f32(x, high); }
SEAFORMER_INLINE F32 add(F32 a, F32 b) { return vaddq_f32(a, b); }
SEAFORMER_INLINE I32 add(I32 a, I32 b) { return vaddq_s32(a, b); }
SEAFORMER_INLINE I32 min(I32 a, I32 b) { return vminq_s32(a, b); }
SEAFORMER_INLINE float reduce_max(F32 a) { return vmaxvq_f32(a); }
SEAFORMER_INLINE F32 power_of_two(F32 biased) {
  return vreinterpretq_f32_s32(vshlq_n_s32(vreinterpretq_s32_f32(biased), 23));
}
SEAFORMER_INLINE int32_t reduce_min(I32 a) { return vminvq_s32(a); }

SEAFORMER_INLINE F32 load_first(const float* p, int n) {
  if (n == kLanes) return load(p);
  F32 r = vld1q_lane_f32(p, splat(0.0f), 0);
  if (n > 1) r = vld1q_lane_f32(p + 1, r, 1);
  if (n > 2) r = vld1q_lane_f32(p + 2, r, 2);
  return r;
}
SEAFORMER_INLINE void store_first(float* p, F32 a, int n) {
  if (n == kLanes) return store(p, a);
  vst1q_lane_f32(p, a, 0);
  if (n > 1) vst1q_lane_f32(p + 1, a, 1);
  if (n > 2) vst1q_lane_f32(p + 2, a, 2);
}

SEAFORMER_INLINE uint16x4_t load_bits(const uint16_t* p, int n) {
  uint16x4_t r = vld1_lane_u16(p, vdup_n_u16(0), 0);
  if (n > 1) r = vld1_lane_u16(p + 1, r, 1);
  if (n > 2) r = vld1_lane_u16(p + 2, r, 2);
  return r;
}
SEAFORMER_INLINE void store_bits(uint16_t* p, uint16x4_t a, int n) {
  vst1_lane_u16(p, a, 0);
  if (n > 1) vst1_lane_u16(p + 1, a, 1);
  if (n > 2) vst1_lane_u16(p + 2, a, 2);
}

SEAFORMER_INLINE F32 widened(uint16x4_t bits) { return vcvt_f32_f16(vreinterpret_f16_u16(bits)); }
SEAFORMER_INLINE uint16x4_t narrowed(F32 a) { return vreinterpret_u16_f16(vcvt_f16_f32(a)); }
SEAFORMER_INLINE F32 load(const Half* p) { return widened(vld1_u16(&p->bits)); }
SEAFORMER_INLINE void store(Half* p, F32 a) { vst1_u16(&p->bits, narrowed(a)); }
SEAFORMER_INLINE F32 load_first(const Half* p, int n) {
  return n == kLanes ? load(p) : widened(load_bits(&p->bits, n));
}
SEAFORMER_INLINE void store_first(Half* p, F32 a, int n) {
  n == kLanes ? store(p, a) : store_bits(&p->bits, narrowed(a), n);
}

SEAFORMER_INLINE F32 widened_bfloat16(uint16x4_t bits) {
  return vreinterpretq_f32_u32(vshll_n_u16(bits, 16));
}
SEAFORMER_INLINE uint16x4_t narrowed_to_bfloat16(F32 a) {
#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
  return vreinterpret_u16_bf16(vcvt_bf16_f32(a));
#else
  const uint32x4_t bits = vreinterpretq_u32_f32(a);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
  const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));  // of a NaN
  return vshrn_n_u32(vbslq_u32(vceqq_f32(a, a), rounded, quiet), 16);
#endif
}
SEAFORMER_INLINE F32 load(const BFloat16* p) { return widened_bfloat16(vld1_u16(&p->bits)); }
SEAFORMER_INLINE void store(BFloat16* p, F32 a) { vst1_u16(&p->bits, narrowed_to_bfloat16(a)); }
SEAFORMER_INLINE F32 load_first(const BFloat16* p, int n) {
  return n == kLanes ? load(p) : widened_bfloat16(load_bits(&p->bits, n));
}
SEAFORMER_INLINE void store_first(BFloat16* p, F32 a, int n) {
  n == kLanes ? store(p, a) : store_bits(&p->bits, narrowed_to_bfloat16(a), n);
}

SEAFORMER_INLINE void load_every_fourth(const BFloat16* p, F32 (&to)[4]) {
  const uint16x4x4_t bits = vld4_u16(&p->bits);
  for (int i = 0; i < 4; ++i) to[i] = widened_bfloat16(bits.val[i]);
}

SEAFORMER_INLINE F32 accumulate(F32 a, F32 b, F32 c) { return fma(a, b, c); }

// Four consecutive scalars, each to be multiplied with whole vectors.
using Scalars4 = float32x4_t;
SEAFORMER_INLINE Scalars4 load_scalars4(const float* p) { return load(p); }
template <int i>
SEAFORMER_INLINE F32 fma_scalar(Scalars4 s, F32 b, F32 c) {
  // Into the register of c: left to itself, gcc 12 moves long-lived sums between registers.
  asm("fmla %0.4s, %1.4s, %2.s[%3]" : "+w"(c) : "w"(b), "w"(s), "i"(i));
  return c;
}

#include "simd/lane_set.inc"
#include "simd/vector_group.inc"

// Narrowing the masks to a nibble a lane is cheaper than gathering one bit a lane.
using Lanes16 = LaneSet<4>;
SEAFORMER_INLINE Lanes16 lanes(Mask16 m) {
  const uint16x8_t low = vuzp1q_u16(vreinterpretq_u16_u32(m.v[0]), vreinterpretq_u16_u32(m.v[1]));
  const uint16x8_t high = vuzp1q_u16(vreinterpretq_u16_u32(m.v[2]), vreinterpretq_u16_u32(m.v[3]));
  const uint8x16_t bytes = vuzp1q_u8(vreinterpretq_u8_u16(low), vreinterpretq_u8_u16(high));
  const uint8x8_t nibbles = vshrn_n_u16(vreinterpretq_u16_u8(bytes), 4);
  return {vget_lane_u64(vreinterpret_u64_u8(nibbles), 0) & 0x1111111111111111u};
}

using F32x8 = F32Group<2>;
using Mask8 = MaskGroup<2>;
using I32x8 = I32Group<2>;
SEAFORMER_INLINE F32x8 load8(const float* p) { return load_group<2>(p); }
SEAFORMER_INLINE F32x8 splat8(float x) { return repeat<F32, 2>(splat(x)); }
SEAFORMER_INLINE I32x8 splat8_i32(int32_t x) { return repeat<I32, 2>(splat_i32(x)); }
SEAFORMER_INLINE void store8(float* p, F32x8 a) { store_group<2>(p, a); }
SEAFORMER_INLINE void store8(int32_t* p, I32x8 a) {
  vst1q_s32(p, a.v[0]);
  vst1q_s32(p + 4, a.v[1]);
}
SEAFORMER_INLINE void store8(uint8_t* p, I32x8 a) {
  const uint16x8_t halves =
      vuzp1q_u16(vreinterpretq_u16_s32(a.v[0]), vreinterpretq_u16_s32(a.v[1]));
  vst1_u8(p, vmovn_u16(halves));
}

#include "simd/compress.inc"

SEAFORMER_INLINE F32x8 gather8(const float* base, const int32_t* index) {
  F32x8 r = splat8(base[index[0]]);
  r.v[0] = vld1q_lane_f32(base + index[1], r.v[0], 1);
  r.v[0] = vld1q_lane_f32(base + index[2], r.v[0], 2);
  r.v[0] = vld1q_lane_f32(base + index[3], r.v[0], 3);
  r.v[1] = vld1q_lane_f32(base + index[4], r.v[1], 0);
  r.v[1] = vld1q_lane_f32(base + index[5], r.v[1], 1);
  r.v[1] = vld1q_lane_f32(base + index[6], r.v[1], 2);
  r.v[1] = vld1q_lane_f32(base + index[7], r.v[1], 3);
  return r;
}

SEAFORMER_INLINE F32x16 load16(const uint8_t* p) {
  const uint8x16_t bytes = vld1q_u8(p);
  const uint16x8_t low = vmovl_u8(vget_low_u8(bytes)), high = vmovl_high_u8(bytes);
  return {{vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))), vcvtq_f32_u32(vmovl_high_u16(low)),
           vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))), vcvtq_f32_u32(vmovl_high_u16(high))}};
}

#include "simd/tile.inc"

}  // namespace
}  // namespace SEAFORMER_NEON
}  // namespace seaformer
