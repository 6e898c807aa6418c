// Numbers between int8 and float32, sixteen at a time.
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "core/quantized.h"
#include "simd/macros.h"

namespace seaformer {
namespace avx2 {
namespace {

constexpr int kVector = 16;
struct F32 {
  __m256 x[2];
};

SEAFORMER_INLINE F32 load(const float* p) { return {{_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}}; }
SEAFORMER_INLINE F32 splat(float x) { return {{_mm256_set1_ps(x), _mm256_set1_ps(x)}}; }
SEAFORMER_INLINE F32 mul(const F32& a, const F32& b) {
  return {{_mm256_mul_ps(a.x[0], b.x[0]), _mm256_mul_ps(a.x[1], b.x[1])}};
}
SEAFORMER_INLINE F32 sub(const F32& a, const F32& b) {
  return {{_mm256_sub_ps(a.x[0], b.x[0]), _mm256_sub_ps(a.x[1], b.x[1])}};
}
SEAFORMER_INLINE F32 add(const F32& a, const F32& b) {
  return {{_mm256_add_ps(a.x[0], b.x[0]), _mm256_add_ps(a.x[1], b.x[1])}};
}
SEAFORMER_INLINE F32 at_least(const F32& a, const F32& low) {
  return {{_mm256_max_ps(a.x[0], low.x[0]), _mm256_max_ps(a.x[1], low.x[1])}};
}
SEAFORMER_INLINE F32 at_most(const F32& a, const F32& high) {
  return {{_mm256_min_ps(a.x[0], high.x[0]), _mm256_min_ps(a.x[1], high.x[1])}};
}
SEAFORMER_INLINE F32 fma(const F32& a, const F32& b, const F32& c) {
  return {{_mm256_fmadd_ps(a.x[0], b.x[0], c.x[0]), _mm256_fmadd_ps(a.x[1], b.x[1], c.x[1])}};
}
SEAFORMER_INLINE void store_words(int8_t* p, __m256i low, __m256i high) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
  _mm_storeu_si128(
      reinterpret_cast<__m128i*>(p),
      _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}
SEAFORMER_INLINE __m256i rounded(__m256 x, int32_t zero) {
  x = _mm256_and_ps(x, _mm256_cmp_ps(x, x, _CMP_ORD_Q));
  x = _mm256_min_ps(x, _mm256_set1_ps(1024.0f));  // from 2^31 up a conversion gives the least int32
  x = _mm256_max_ps(x, _mm256_set1_ps(-1024.0f));
  return _mm256_add_epi32(_mm256_cvtps_epi32(x), _mm256_set1_epi32(zero));
}
SEAFORMER_INLINE void store_rounded(int8_t* p, const F32& a, int32_t zero) {
  store_words(p, rounded(a.x[0], zero), rounded(a.x[1], zero));
}
SEAFORMER_INLINE void store_bits(int8_t* p, const F32& a) {
  const __m256i magic = _mm256_set1_epi32(kMagicBits);
  store_words(p, _mm256_sub_epi32(_mm256_castps_si256(a.x[0]), magic),
              _mm256_sub_epi32(_mm256_castps_si256(a.x[1]), magic));
}
SEAFORMER_INLINE F32 load_bytes(const int8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {{_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
           _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)))}};
}
SEAFORMER_INLINE void store(float* p, const F32& a) {
  _mm256_storeu_ps(p, a.x[0]);
  _mm256_storeu_ps(p + 8, a.x[1]);
}

// Of 4 x 4 bytes; rows of the result are `stride` apart.
SEAFORMER_INLINE void transpose_quad(const int8_t* from, int8_t* to, int64_t stride) {
  const __m128i order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m128i rows =
      _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)), order);
  int32_t all[4];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(all), rows);
  for (int i = 0; i < 4; ++i) __builtin_memcpy(to + i * stride, all + i, 4);
}

}  // namespace
}  // namespace avx2
}  // namespace seaformer
