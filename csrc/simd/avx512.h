// The vector wrapper over AVX-512 F, BW, DQ, VL: 16 lanes; runs of 8 pixels in half registers.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "core/element.h"
#include "simd/macros.h"

#if !defined(SEAFORMER_AVX512)  // or the ISA of one type that is all of this and more
#define SEAFORMER_AVX512 avx512
#endif

namespace seaformer {
namespace SEAFORMER_AVX512 {
namespace {

constexpr int kLanes = 16;
// Structs, not aliases: attributes of __m512 are lost when it is a template argument.
struct F32 {
  __m512 x;
};
struct Mask {
  __mmask16 x;
};
struct I32 {
  __m512i x;
};

SEAFORMER_INLINE F32 load(const float* p) { return {_mm512_loadu_ps(p)}; }
SEAFORMER_INLINE I32 load_i32(const int32_t* p) { return {_mm512_loadu_si512(p)}; }
SEAFORMER_INLINE void store(float* p, F32 a) { _mm512_storeu_ps(p, a.x); }
SEAFORMER_INLINE F32 splat(float x) { return {_mm512_set1_ps(x)}; }
SEAFORMER_INLINE I32 splat_i32(int32_t x) { return {_mm512_set1_epi32(x)}; }
SEAFORMER_INLINE F32 mul(F32 a, F32 b) { return {_mm512_mul_ps(a.x, b.x)}; }
SEAFORMER_INLINE F32 sub(F32 a, F32 b) { return {_mm512_sub_ps(a.x, b.x)}; }
SEAFORMER_INLINE F32 fma(F32 a, F32 b, F32 c) { return {_mm512_fmadd_ps(a.x, b.x, c.x)}; }
SEAFORMER_INLINE F32 div(F32 a, F32 b) { return {_mm512_div_ps(a.x, b.x)}; }
SEAFORMER_INLINE F32 abs(F32 a) { return {_mm512_andnot_ps(_mm512_set1_ps(-0.0f), a.x)}; }
SEAFORMER_INLINE F32 max(F32 a, F32 b) { return {_mm512_max_ps(a.x, b.x)}; }
SEAFORMER_INLINE Mask greater(F32 a, F32 b) { return {_mm512_cmp_ps_mask(a.x, b.x, _CMP_GT_OQ)}; }
SEAFORMER_INLINE Mask greater_equal(F32 a, F32 b) {
  return {_mm512_cmp_ps_mask(a.x, b.x, _CMP_GE_OQ)};
}
SEAFORMER_INLINE Mask equal(F32 a, F32 b) { return {_mm512_cmp_ps_mask(a.x, b.x, _CMP_EQ_OQ)}; }
SEAFORMER_INLINE Mask unordered(F32 a, F32 b) {
  return {_mm512_cmp_ps_mask(a.x, b.x, _CMP_UNORD_Q)};
}
SEAFORMER_INLINE Mask either(Mask a, Mask b) { return {static_cast<__mmask16>(a.x | b.x)}; }
SEAFORMER_INLINE F32 select(Mask m, F32 a, F32 b) { return {_mm512_mask_mov_ps(b.x, m.x, a.x)}; }
SEAFORMER_INLINE I32 select(Mask m, I32 a, I32 b) { return {_mm512_mask_mov_epi32(b.x, m.x, a.x)}; }
// The second operand comes out where one is a NaN.
SEAFORMER_INLINE F32 at_least(F32 x, F32 low) { return {_mm512_max_ps(low.x, x.x)}; }
SEAFORMER_INLINE F32 at_most(F32 x, F32 high) { return {_mm512_min_ps(high.x, x.x)}; }
SEAFORMER_INLINE F32 add(F32 a, F32 b) { return {_mm512_add_ps(a.x, b.x)}; }
SEAFORMER_INLINE I32 add(I32 a, I32 b) { return {_mm512_add_epi32(a.x, b.x)}; }
SEAFORMER_INLINE I32 min(I32 a, I32 b) { return {_mm512_min_epi32(a.x, b.x)}; }
SEAFORMER_INLINE float reduce_max(F32 a) { return _mm512_reduce_max_ps(a.x); }
SEAFORMER_INLINE F32 power_of_two(F32 biased) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(biased.x), 23))};
}
SEAFORMER_INLINE int32_t reduce_min(I32 a) { return _mm512_reduce_min_epi32(a.x); }

SEAFORMER_INLINE __mmask16 first_lanes(int n) { return static_cast<__mmask16>((1u << n) - 1); }
SEAFORMER_INLINE F32 load_first(const float* p, int n) {
  return n == kLanes ? load(p) : F32{_mm512_maskz_loadu_ps(first_lanes(n), p)};
}
SEAFORMER_INLINE void store_first(float* p, F32 a, int n) {
  if (n == kLanes) return store(p, a);
  _mm512_mask_storeu_ps(p, first_lanes(n), a.x);
}

SEAFORMER_INLINE F32 load(const Half* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
SEAFORMER_INLINE __m256i narrowed(F32 a) { return _mm512_cvtps_ph(a.x, _MM_FROUND_TO_NEAREST_INT); }
SEAFORMER_INLINE void store(Half* p, F32 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrowed(a));
}
SEAFORMER_INLINE F32 load_first(const Half* p, int n) {
  if (n == kLanes) return load(p);
  return {_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes(n), p))};
}
SEAFORMER_INLINE void store_first(Half* p, F32 a, int n) {
  if (n == kLanes) return store(p, a);
  _mm256_mask_storeu_epi16(p, first_lanes(n), narrowed(a));
}

SEAFORMER_INLINE F32 widened_bfloat16(__m256i bits) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))};
}
SEAFORMER_INLINE __m256i narrowed_to_bfloat16(F32 a) {
  const __m512i bits = _mm512_castps_si512(a.x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __mmask16 nan = _mm512_cmp_ps_mask(a.x, a.x, _CMP_UNORD_Q);
  const __m512i all = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(all, 16));
}
SEAFORMER_INLINE F32 load(const BFloat16* p) {
  return widened_bfloat16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
SEAFORMER_INLINE void store(BFloat16* p, F32 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrowed_to_bfloat16(a));
}
SEAFORMER_INLINE F32 load_first(const BFloat16* p, int n) {
  if (n == kLanes) return load(p);
  return widened_bfloat16(_mm256_maskz_loadu_epi16(first_lanes(n), p));
}
SEAFORMER_INLINE void store_first(BFloat16* p, F32 a, int n) {
  if (n == kLanes) return store(p, a);
  _mm256_mask_storeu_epi16(p, first_lanes(n), narrowed_to_bfloat16(a));
}

SEAFORMER_INLINE void load_every_fourth(const BFloat16* p, F32 (&to)[4]) {
  const __m512i low = _mm512_loadu_si512(p), high = _mm512_loadu_si512(p + 2 * kLanes);
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const auto spread = [&](__m512i which, F32* two) SEAFORMER_LAMBDA_INLINE {
    const __m512i bits = _mm512_permutex2var_epi32(low, which, high);
    two[0].x = _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
    two[1].x = _mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32(-0x10000)));
  };
  spread(even, to);
  spread(_mm512_add_epi32(even, _mm512_set1_epi32(1)), to + 2);
}

#include "simd/lane_set.inc"
#include "simd/vector_group.inc"
// fma into the register of c, from registers. Left to itself, gcc 12 loads a value again for each
// use and moves long-lived sums between registers.
SEAFORMER_INLINE F32 accumulate(F32 a, F32 b, F32 c) {
  asm("vfmadd231ps %2, %1, %0" : "+v"(c.x) : "v"(a.x), "v"(b.x));
  return c;
}

// The same with a scalar from memory, which this ISA's instructions take as it is.
SEAFORMER_INLINE F32 accumulate_splat(F32 a, F32 b, F32 c) { return fma(a, b, c); }

#include "simd/scalars4.inc"

using Lanes16 = LaneSet<1>;
SEAFORMER_INLINE Lanes16 lanes(Mask16 m) { return {m.v[0].x}; }

struct F32x8 {
  __m256 x;
};
struct Mask8 {
  __mmask8 x;
};
struct I32x8 {
  __m256i x;
};
SEAFORMER_INLINE F32x8 load8(const float* p) { return {_mm256_loadu_ps(p)}; }
SEAFORMER_INLINE F32x8 splat8(float x) { return {_mm256_set1_ps(x)}; }
SEAFORMER_INLINE I32x8 splat8_i32(int32_t x) { return {_mm256_set1_epi32(x)}; }
SEAFORMER_INLINE F32x8 mul(F32x8 a, F32x8 b) { return {_mm256_mul_ps(a.x, b.x)}; }
SEAFORMER_INLINE F32x8 fma(F32x8 a, F32x8 b, F32x8 c) { return {_mm256_fmadd_ps(a.x, b.x, c.x)}; }
SEAFORMER_INLINE F32x8 max(F32x8 a, F32x8 b) { return {_mm256_max_ps(a.x, b.x)}; }
SEAFORMER_INLINE F32x8 sub(F32x8 a, F32x8 b) { return {_mm256_sub_ps(a.x, b.x)}; }
SEAFORMER_INLINE F32x8 div(F32x8 a, F32x8 b) { return {_mm256_div_ps(a.x, b.x)}; }
SEAFORMER_INLINE F32x8 abs(F32x8 a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.x)}; }
SEAFORMER_INLINE F32x8 min(F32x8 a, F32x8 b) { return {_mm256_min_ps(a.x, b.x)}; }
SEAFORMER_INLINE Mask8 greater_equal(F32x8 a, F32x8 b) {
  return {_mm256_cmp_ps_mask(a.x, b.x, _CMP_GE_OQ)};
}
SEAFORMER_INLINE F32x8 select(Mask8 m, F32x8 a, F32x8 b) {
  return {_mm256_mask_mov_ps(b.x, m.x, a.x)};
}
SEAFORMER_INLINE void store8(float* p, F32x8 a) { _mm256_storeu_ps(p, a.x); }
// Eight loads: the gather instruction is slower on many processors.
SEAFORMER_INLINE F32x8 gather8(const float* base, const int32_t* index) {
  return {_mm256_setr_ps(base[index[0]], base[index[1]], base[index[2]], base[index[3]],
                         base[index[4]], base[index[5]], base[index[6]], base[index[7]])};
}
SEAFORMER_INLINE Mask8 greater(F32x8 a, F32x8 b) {
  return {_mm256_cmp_ps_mask(a.x, b.x, _CMP_GT_OQ)};
}
SEAFORMER_INLINE I32x8 select(Mask8 m, I32x8 a, I32x8 b) {
  return {_mm256_mask_mov_epi32(b.x, m.x, a.x)};
}
SEAFORMER_INLINE void store8(int32_t* p, I32x8 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.x);
}
SEAFORMER_INLINE void store8(uint8_t* p, I32x8 a) {
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm256_cvtepi32_epi8(a.x));
}

SEAFORMER_INLINE F32x16 load16(const uint8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {{{_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes))}}};
}

// A tile of output pixels: kTileRows rows of 8, as wide as the registers like.
constexpr int kTileRows = 2;
using F32Tile = F32;
using I32Tile = I32;
// The 8 weights of the columns, in every row.
SEAFORMER_INLINE F32Tile tile_columns(const float* x) {
  return {_mm512_broadcast_f32x8(_mm256_loadu_ps(x))};
}
// The kTileRows weights of the rows, in every column.
SEAFORMER_INLINE F32Tile tile_rows(const float* y) {
  return {_mm512_insertf32x8(_mm512_set1_ps(y[0]), _mm256_set1_ps(y[1]), 1)};
}
SEAFORMER_INLINE F32Tile splat_tile(float x) { return splat(x); }
SEAFORMER_INLINE I32Tile splat_tile_i32(int32_t x) { return splat_i32(x); }
SEAFORMER_INLINE I32x8 tile_row(I32Tile tile, int row) {
  return {row == 0 ? _mm512_castsi512_si256(tile.x) : _mm512_extracti32x8_epi32(tile.x, 1)};
}

// Compresses in registers: the form that stores to memory is microcoded on some processors.
template <int N>
SEAFORMER_INLINE int compress(Lanes16 set, const float* const (&source)[N], const int32_t* ids,
                              float* const (&destination)[N], int32_t* out_ids) {
  const __mmask16 mask = static_cast<__mmask16>(set.bits);
  SEAFORMER_UNROLL
  for (int k = 0; k < N; ++k) {
    _mm512_storeu_ps(destination[k], _mm512_maskz_compress_ps(mask, _mm512_loadu_ps(source[k])));
  }
  _mm512_storeu_si512(out_ids, _mm512_maskz_compress_epi32(mask, _mm512_loadu_si512(ids)));
  return __builtin_popcount(mask);
}

}  // namespace
}  // namespace SEAFORMER_AVX512
}  // namespace seaformer
