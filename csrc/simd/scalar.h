// The vector wrapper without vectors: one lane, plain C++. It is the wrapper's definition in the
// simplest words, and what a processor without a written ISA runs.
#pragma once

#include <stdint.h>

#include "core/element.h"
#include "simd/macros.h"

namespace seaformer {
namespace scalar {
namespace {

constexpr int kLanes = 1;
struct F32 {
  float x;
};
struct Mask {
  bool x;
};
struct I32 {
  int32_t x;
};

SEAFORMER_INLINE F32 load(const float* p) { return {*p}; }
SEAFORMER_INLINE I32 load_i32(const int32_t* p) { return {*p}; }
SEAFORMER_INLINE void store(float* p, F32 a) { *p = a.x; }
SEAFORMER_INLINE F32 splat(float x) { return {x}; }
SEAFORMER_INLINE I32 splat_i32(int32_t x) { return {x}; }
SEAFORMER_INLINE F32 mul(F32 a, F32 b) { return {a.x * b.x}; }
SEAFORMER_INLINE F32 fma(F32 a, F32 b, F32 c) { return {a.x * b.x + c.x}; }
SEAFORMER_INLINE F32 sub(F32 a, F32 b) { return {a.x - b.x}; }
SEAFORMER_INLINE F32 div(F32 a, F32 b) { return {a.x / b.x}; }
SEAFORMER_INLINE F32 abs(F32 a) { return {__builtin_fabsf(a.x)}; }
// With a NaN on either side the result is unspecified, as it differs between ISAs.
SEAFORMER_INLINE F32 max(F32 a, F32 b) { return {a.x > b.x ? a.x : b.x}; }
SEAFORMER_INLINE F32 min(F32 a, F32 b) { return {a.x < b.x ? a.x : b.x}; }
SEAFORMER_INLINE Mask greater(F32 a, F32 b) { return {a.x > b.x}; }
SEAFORMER_INLINE Mask greater_equal(F32 a, F32 b) { return {a.x >= b.x}; }
SEAFORMER_INLINE Mask equal(F32 a, F32 b) { return {a.x == b.x}; }
// True where a or b is NaN.
SEAFORMER_INLINE Mask unordered(F32 a, F32 b) { return {a.x != a.x || b.x != b.x}; }
SEAFORMER_INLINE Mask either(Mask a, Mask b) { return {a.x || b.x}; }
SEAFORMER_INLINE F32 select(Mask m, F32 a, F32 b) { return {m.x ? a.x : b.x}; }
SEAFORMER_INLINE I32 select(Mask m, I32 a, I32 b) { return {m.x ? a.x : b.x}; }
// Keep a NaN in x.
SEAFORMER_INLINE F32 at_least(F32 x, F32 low) { return {x.x < low.x ? low.x : x.x}; }
SEAFORMER_INLINE F32 at_most(F32 x, F32 high) { return {x.x > high.x ? high.x : x.x}; }
SEAFORMER_INLINE F32 add(F32 a, F32 b) { return {a.x + b.x}; }
SEAFORMER_INLINE I32 add(I32 a, I32 b) { return {a.x + b.x}; }
SEAFORMER_INLINE I32 min(I32 a, I32 b) { return {a.x < b.x ? a.x : b.x}; }
SEAFORMER_INLINE float reduce_max(F32 a) { return a.x; }
// 2^n, given n + 127 + 1.5 * 2^23 for an integer n from -126 to 127.
SEAFORMER_INLINE F32 power_of_two(F32 biased) {
  uint32_t bits;
  __builtin_memcpy(&bits, &biased.x, sizeof bits);
  bits <<= 23;
  F32 r;
  __builtin_memcpy(&r.x, &bits, sizeof bits);
  return r;
}
SEAFORMER_INLINE int32_t reduce_min(I32 a) { return a.x; }

// The first n lanes, 1 to kLanes, from memory, the others zero; and the first n lanes to memory.
SEAFORMER_INLINE F32 load_first(const float* p, int) { return load(p); }
SEAFORMER_INLINE void store_first(float* p, F32 a, int) { store(p, a); }

SEAFORMER_INLINE F32 load(const Half* p) { return {to_float(*p)}; }
SEAFORMER_INLINE void store(Half* p, F32 a) { *p = to_half(a.x); }
SEAFORMER_INLINE F32 load_first(const Half* p, int) { return load(p); }
SEAFORMER_INLINE void store_first(Half* p, F32 a, int) { store(p, a); }

SEAFORMER_INLINE F32 load(const BFloat16* p) { return {to_float(*p)}; }
SEAFORMER_INLINE void store(BFloat16* p, F32 a) { *p = to_bfloat16(a.x); }
SEAFORMER_INLINE F32 load_first(const BFloat16* p, int) { return load(p); }
SEAFORMER_INLINE void store_first(BFloat16* p, F32 a, int) { store(p, a); }

// The vectors of every fourth element, from the first one, the second, the third and the fourth.
SEAFORMER_INLINE void load_every_fourth(const BFloat16* p, F32 (&to)[4]) {
  for (int i = 0; i < 4; ++i) to[i] = load(p + i);
}

#include "simd/lane_set.inc"
#include "simd/vector_group.inc"
SEAFORMER_INLINE F32 accumulate(F32 a, F32 b, F32 c) { return fma(a, b, c); }

SEAFORMER_INLINE F32 accumulate_splat(F32 a, F32 b, F32 c) { return fma(a, b, c); }

#include "simd/scalars4.inc"

using Lanes16 = LaneSet<1>;
SEAFORMER_INLINE Lanes16 lanes(Mask16 m) {
  uint64_t bits = 0;
  SEAFORMER_UNROLL
  for (int i = 0; i < 16; ++i) bits |= uint64_t{m.v[i].x} << i;
  return {bits};
}

using F32x8 = F32Group<8>;
using Mask8 = MaskGroup<8>;
using I32x8 = I32Group<8>;
SEAFORMER_INLINE F32x8 load8(const float* p) { return load_group<8>(p); }
SEAFORMER_INLINE F32x8 splat8(float x) { return repeat<F32, 8>(splat(x)); }
SEAFORMER_INLINE I32x8 splat8_i32(int32_t x) { return repeat<I32, 8>(splat_i32(x)); }
SEAFORMER_INLINE void store8(float* p, F32x8 a) { store_group<8>(p, a); }
SEAFORMER_INLINE void store8(int32_t* p, I32x8 a) {
  SEAFORMER_UNROLL
  for (int i = 0; i < 8; ++i) p[i] = a.v[i].x;
}
// Keeps the low byte of each lane.
SEAFORMER_INLINE void store8(uint8_t* p, I32x8 a) {
  SEAFORMER_UNROLL
  for (int i = 0; i < 8; ++i) p[i] = static_cast<uint8_t>(a.v[i].x);
}

#include "simd/compress.inc"

SEAFORMER_INLINE F32x8 gather8(const float* base, const int32_t* index) {
  F32x8 r;
  SEAFORMER_UNROLL
  for (int i = 0; i < 8; ++i) r.v[i].x = base[index[i]];
  return r;
}

// Sixteen bytes as numbers.
SEAFORMER_INLINE F32x16 load16(const uint8_t* p) {
  F32x16 r;
  SEAFORMER_UNROLL
  for (int i = 0; i < 16; ++i) r.v[i].x = static_cast<float>(p[i]);
  return r;
}

#include "simd/tile.inc"

}  // namespace
}  // namespace scalar
}  // namespace seaformer
