// The vector wrapper over AVX2 and FMA: eight lanes.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "core/element.h"
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
SEAFORMER_INLINE I32 load_i32(const int32_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))};
}
SEAFORMER_INLINE void store(float* p, F32 a) { _mm256_storeu_ps(p, a.x); }
SEAFORMER_INLINE F32 splat(float x) { return {_mm256_set1_ps(x)}; }
SEAFORMER_INLINE I32 splat_i32(int32_t x) { return {_mm256_set1_epi32(x)}; }
SEAFORMER_INLINE F32 mul(F32 a, F32 b) { return {_mm256_mul_ps(a.x, b.x)}; }
SEAFORMER_INLINE F32 fma(F32 a, F32 b, F32 c) { return {_mm256_fmadd_ps(a.x, b.x, c.x)}; }
SEAFORMER_INLINE F32 sub(F32 a, F32 b) { return {_mm256_sub_ps(a.x, b.x)}; }
SEAFORMER_INLINE F32 div(F32 a, F32 b) { return {_mm256_div_ps(a.x, b.x)}; }
SEAFORMER_INLINE F32 abs(F32 a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.x)}; }
SEAFORMER_INLINE F32 max(F32 a, F32 b) { return {_mm256_max_ps(a.x, b.x)}; }
SEAFORMER_INLINE F32 min(F32 a, F32 b) { return {_mm256_min_ps(a.x, b.x)}; }
SEAFORMER_INLINE Mask greater(F32 a, F32 b) { return {_mm256_cmp_ps(a.x, b.x, _CMP_GT_OQ)}; }
SEAFORMER_INLINE Mask greater_equal(F32 a, F32 b) { return {_mm256_cmp_ps(a.x, b.x, _CMP_GE_OQ)}; }
SEAFORMER_INLINE Mask equal(F32 a, F32 b) { return {_mm256_cmp_ps(a.x, b.x, _CMP_EQ_OQ)}; }
SEAFORMER_INLINE Mask unordered(F32 a, F32 b) { return {_mm256_cmp_ps(a.x, b.x, _CMP_UNORD_Q)}; }
SEAFORMER_INLINE Mask either(Mask a, Mask b) { return {_mm256_or_ps(a.x, b.x)}; }
SEAFORMER_INLINE F32 select(Mask m, F32 a, F32 b) { return {_mm256_blendv_ps(b.x, a.x, m.x)}; }
SEAFORMER_INLINE I32 select(Mask m, I32 a, I32 b) {
  return {_mm256_blendv_epi8(b.x, a.x, _mm256_castps_si256(m.x))};
}
// The second operand comes out where one is a NaN.
SEAFORMER_INLINE F32 at_least(F32 x, F32 low) { return {_mm256_max_ps(low.x, x.x)}; }
SEAFORMER_INLINE F32 at_most(F32 x, F32 high) { return {_mm256_min_ps(high.x, x.x)}; }
SEAFORMER_INLINE F32 add(F32 a, F32 b) { return {_mm256_add_ps(a.x, b.x)}; }
SEAFORMER_INLINE I32 add(I32 a, I32 b) { return {_mm256_add_epi32(a.x, b.x)}; }
SEAFORMER_INLINE I32 min(I32 a, I32 b) { return {_mm256_min_epi32(a.x, b.x)}; }
SEAFORMER_INLINE float reduce_max(F32 a) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(a.x), _mm256_extractf128_ps(a.x, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

SEAFORMER_INLINE F32 power_of_two(F32 biased) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(biased.x), 23))};
}
SEAFORMER_INLINE int32_t reduce_min(I32 a) {
  __m128i m = _mm_min_epi32(_mm256_castsi256_si128(a.x), _mm256_extracti128_si256(a.x, 1));
  m = _mm_min_epi32(m, _mm_unpackhi_epi64(m, m));
  return _mm_cvtsi128_si32(_mm_min_epi32(m, _mm_shuffle_epi32(m, 1)));
}

// fma into the register of c. Left to itself, gcc 12 moves long-lived sums between registers and
// spills some, which costs a third of the speed of a matrix product.
SEAFORMER_INLINE F32 accumulate(F32 a, F32 b, F32 c) {
  asm("vfmadd231ps %2, %1, %0" : "+x"(c.x) : "x"(a.x), "x"(b.x));
  return c;
}

SEAFORMER_INLINE __m256i first_lanes(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
SEAFORMER_INLINE F32 load_first(const float* p, int n) {
  return n == kLanes ? load(p) : F32{_mm256_maskload_ps(p, first_lanes(n))};
}
SEAFORMER_INLINE void store_first(float* p, F32 a, int n) {
  if (n == kLanes) return store(p, a);
  _mm256_maskstore_ps(p, first_lanes(n), a.x);
}

SEAFORMER_INLINE F32 load(const Half* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
SEAFORMER_INLINE void store(Half* p, F32 a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(a.x, _MM_FROUND_TO_NEAREST_INT));
}
SEAFORMER_INLINE F32 load(const BFloat16* p) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16))};
}
SEAFORMER_INLINE void store(BFloat16* p, F32 a) {
  const __m256i bits = _mm256_castps_si256(a.x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));  // of a NaN
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a.x, a.x, _CMP_UNORD_Q));
  const __m256i upper = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(upper, upper), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
}

template <class T>
SEAFORMER_INLINE F32 load_first(const T* p, int n) {
  if (n == kLanes) return load(p);
  T lanes[kLanes] = {};
  __builtin_memcpy(lanes, p, n * sizeof(T));
  return load(lanes);
}
template <class T>
SEAFORMER_INLINE void store_first(T* p, F32 a, int n) {
  if (n == kLanes) return store(p, a);
  T lanes[kLanes];
  store(lanes, a);
  __builtin_memcpy(p, lanes, n * sizeof(T));
}

SEAFORMER_INLINE void load_every_fourth(const BFloat16* p, F32 (&to)[4]) {
  const __m256 low = _mm256_loadu_ps(reinterpret_cast<const float*>(p));
  const __m256 high = _mm256_loadu_ps(reinterpret_cast<const float*>(p + 2 * kLanes));
  const auto spread = [&](__m256 pairs, F32* two) SEAFORMER_LAMBDA_INLINE {
    const __m256i bits = _mm256_permute4x64_epi64(_mm256_castps_si256(pairs), 0xd8);
    two[0].x = _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16));
    two[1].x = _mm256_castsi256_ps(_mm256_and_si256(bits, _mm256_set1_epi32(-0x10000)));
  };
  spread(_mm256_shuffle_ps(low, high, 0x88), to);
  spread(_mm256_shuffle_ps(low, high, 0xdd), to + 2);
}

#include "simd/lane_set.inc"
#include "simd/vector_group.inc"
SEAFORMER_INLINE F32 accumulate_splat(F32 a, F32 b, F32 c) { return accumulate(a, b, c); }

#include "simd/scalars4.inc"

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
SEAFORMER_INLINE F32x8 splat8(float x) { return repeat<F32, 1>(splat(x)); }
SEAFORMER_INLINE I32x8 splat8_i32(int32_t x) { return repeat<I32, 1>(splat_i32(x)); }
SEAFORMER_INLINE void store8(float* p, F32x8 a) { store_group<1>(p, a); }
SEAFORMER_INLINE void store8(int32_t* p, I32x8 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.v[0].x);
}
SEAFORMER_INLINE void store8(uint8_t* p, I32x8 a) {
  // The low byte of each lane to the front of each half, then the halves beside each other.
  const __m256i order =
      _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8, 12, -1,
                       -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
  const __m256i bytes = _mm256_shuffle_epi8(a.v[0].x, order);
  const __m128i packed =
      _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), packed);
}

// kPack[mask] lists the lanes of an 8-bit mask; a branch a lane would be mispredicted too often.
struct PackTable {
  uint64_t lanes[256];
  constexpr PackTable() : lanes() {
    for (int mask = 0; mask < 256; ++mask) {
      for (int lane = 0, n = 0; lane < 8; ++lane) {
        if (mask >> lane & 1) lanes[mask] |= uint64_t(lane) << 8 * n++;
      }
    }
  }
};
constexpr PackTable kPack;

template <int N>
SEAFORMER_INLINE int compress(Lanes16 set, const float* const (&source)[N], const int32_t* ids,
                              float* const (&destination)[N], int32_t* out_ids) {
  int n = 0;
  SEAFORMER_UNROLL
  for (int half = 0; half < 2; ++half) {
    const unsigned mask = set.bits >> 8 * half & 255;
    const __m256i order =
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(&kPack.lanes[mask])));
    SEAFORMER_UNROLL
    for (int k = 0; k < N; ++k) {
      const __m256 x = _mm256_loadu_ps(source[k] + 8 * half);
      _mm256_storeu_ps(destination[k] + n, _mm256_permutevar8x32_ps(x, order));
    }
    const __m256i id = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(ids + 8 * half));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out_ids + n),
                        _mm256_permutevar8x32_epi32(id, order));
    n += __builtin_popcount(mask);
  }
  return n;
}

// Eight loads: the gather instruction is slower on many processors.
SEAFORMER_INLINE F32x8 gather8(const float* base, const int32_t* index) {
  return {{{_mm256_setr_ps(base[index[0]], base[index[1]], base[index[2]], base[index[3]],
                           base[index[4]], base[index[5]], base[index[6]], base[index[7]])}}};
}

SEAFORMER_INLINE F32x16 load16(const uint8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {{{_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes))},
           {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_unpackhi_epi64(bytes, bytes)))}}};
}

#include "simd/tile.inc"

}  // namespace
}  // namespace avx2
}  // namespace seaformer
