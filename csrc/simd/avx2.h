// The vector wrapper over AVX2 and FMA: eight lanes.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "simd/macros.h"

namespace seaformer {
namespace avx2 {
namespace {

constexpr int kLanes = 8;
// Structs, not aliases: attributes of __m256 are lost when it is a template argument.
struct F32 {
  __m256 x;
};
struct Mask {
  __m256 x;
};
struct I32 {
  __m256i x;
};

SEAFORMER_INLINE F32 load(const float* p) { return {_mm256_loadu_ps(p)}; }
SEAFORMER_INLINE void store(float* p, F32 a) { _mm256_storeu_ps(p, a.x); }
SEAFORMER_INLINE F32 splat(float x) { return {_mm256_set1_ps(x)}; }
SEAFORMER_INLINE I32 splat_i32(int32_t x) { return {_mm256_set1_epi32(x)}; }
SEAFORMER_INLINE F32 mul(F32 a, F32 b) { return {_mm256_mul_ps(a.x, b.x)}; }
SEAFORMER_INLINE F32 fma(F32 a, F32 b, F32 c) { return {_mm256_fmadd_ps(a.x, b.x, c.x)}; }
SEAFORMER_INLINE F32 max(F32 a, F32 b) { return {_mm256_max_ps(a.x, b.x)}; }
SEAFORMER_INLINE Mask greater(F32 a, F32 b) { return {_mm256_cmp_ps(a.x, b.x, _CMP_GT_OQ)}; }
SEAFORMER_INLINE Mask greater_equal(F32 a, F32 b) { return {_mm256_cmp_ps(a.x, b.x, _CMP_GE_OQ)}; }
SEAFORMER_INLINE Mask equal(F32 a, F32 b) { return {_mm256_cmp_ps(a.x, b.x, _CMP_EQ_OQ)}; }
SEAFORMER_INLINE Mask unordered(F32 a, F32 b) { return {_mm256_cmp_ps(a.x, b.x, _CMP_UNORD_Q)}; }
SEAFORMER_INLINE Mask either(Mask a, Mask b) { return {_mm256_or_ps(a.x, b.x)}; }
SEAFORMER_INLINE I32 select(Mask m, I32 a, I32 b) {
  return {_mm256_blendv_epi8(b.x, a.x, _mm256_castps_si256(m.x))};
}
SEAFORMER_INLINE float reduce_max(F32 a) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(a.x), _mm256_extractf128_ps(a.x, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

#include "simd/lane_set.h"
#include "simd/pack.h"

using Lanes16 = LaneSet<1>;
SEAFORMER_INLINE Lanes16 lanes(Mask16 m) {
  const unsigned low = static_cast<unsigned>(_mm256_movemask_ps(m.v[0].x));
  const unsigned high = static_cast<unsigned>(_mm256_movemask_ps(m.v[1].x));
  return {low | high << 8};
}

using F32x8 = F32Group<1>;
using Mask8 = MaskGroup<1>;
using I32x8 = I32Group<1>;
SEAFORMER_INLINE F32x8 load8(const float* p) { return load_group<1>(p); }
SEAFORMER_INLINE F32x8 splat8(float x) { return splat_group<1>(x); }
SEAFORMER_INLINE I32x8 splat8_i32(int32_t x) { return splat_i32_group<1>(x); }
SEAFORMER_INLINE void store8(int32_t* p, I32x8 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.v[0].x);
}
SEAFORMER_INLINE void store8(uint8_t* p, I32x8 a) {
  // The low byte of each lane to the front of each half, then the halves beside each other.
  const __m256i order = _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4,
                                         8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
  const __m256i bytes = _mm256_shuffle_epi8(a.v[0].x, order);
  const __m128i packed =
      _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), packed);
}

#include "simd/compress.h"

}  // namespace
}  // namespace avx2
}  // namespace seaformer
