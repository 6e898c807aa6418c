// The wrapper over AVX-512 for processors that calculate in float16 (AVX512-FP16): 32 lanes of it
// beside the 16 of float32. For variants of float16 alone.
#pragma once

#define SEAFORMER_AVX512 avx512_fp16
#include "simd/avx512.h"

namespace seaformer {
namespace avx512_fp16 {
namespace {

constexpr int kHalfLanes = 32;
struct F16 {
  __m512h x;
};

SEAFORMER_INLINE F16 as_f16(__m512i bits) { return {_mm512_castsi512_ph(bits)}; }
SEAFORMER_INLINE F16 splat_f16(float x) { return {_mm512_set1_ph(static_cast<_Float16>(x))}; }
SEAFORMER_INLINE F16 add(F16 a, F16 b) { return {_mm512_add_ph(a.x, b.x)}; }
SEAFORMER_INLINE F16 mul(F16 a, F16 b) { return {_mm512_mul_ph(a.x, b.x)}; }
// The second operand comes out where one is a NaN.
SEAFORMER_INLINE F16 at_least(F16 x, F16 low) { return {_mm512_max_ph(low.x, x.x)}; }
SEAFORMER_INLINE F16 at_most(F16 x, F16 high) { return {_mm512_min_ph(high.x, x.x)}; }
// a * b + c into the register of c: see avx512.h.
SEAFORMER_INLINE F16 accumulate(F16 a, F16 b, F16 c) {
  asm("vfmadd231ph %2, %1, %0" : "+v"(c.x) : "v"(a.x), "v"(b.x));
  return c;
}

SEAFORMER_INLINE __mmask32 first_half_lanes(int n) {
  return static_cast<__mmask32>((uint64_t{1} << n) - 1);
}
SEAFORMER_INLINE F16 load_first_f16(const Half* p, int n) {
  return as_f16(_mm512_maskz_loadu_epi16(first_half_lanes(n), p));
}
SEAFORMER_INLINE void store_first_f16(Half* p, F16 a, int n) {
  _mm512_mask_storeu_epi16(p, first_half_lanes(n), _mm512_castph_si512(a.x));
}

}  // namespace
}  // namespace avx512_fp16
}  // namespace seaformer
