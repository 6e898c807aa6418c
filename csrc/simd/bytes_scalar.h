// Numbers between int8 and float32, one at a time: the definition of the wrapper.
//
// Each on kVector numbers:
//   load, store            float32
//   load_bytes             int8, as float32
//   store_rounded          to nearest, plus zero, clamped; a NaN counts as 0
//   transpose_quad         4 x 4 bytes
//   store_bits             of floats kMagic + q the q, clamped
//   splat, add, sub, mul, fma, at_least, at_most     of numbers that are no NaN
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/quantized.h"
#include "simd/macros.h"

namespace seaformer {
namespace scalar {
namespace {

constexpr int kVector = 1;
using F32 = float;

SEAFORMER_INLINE F32 load(const float* p) { return *p; }
SEAFORMER_INLINE F32 splat(float x) { return x; }
SEAFORMER_INLINE F32 mul(F32 a, F32 b) { return a * b; }
SEAFORMER_INLINE F32 sub(F32 a, F32 b) { return a - b; }
SEAFORMER_INLINE F32 add(F32 a, F32 b) { return a + b; }
SEAFORMER_INLINE F32 at_least(F32 a, F32 low) { return a > low ? a : low; }
SEAFORMER_INLINE F32 at_most(F32 a, F32 high) { return a < high ? a : high; }
// One rounding: where both are whole numbers of some unit, float64 holds the product and the sum.
SEAFORMER_INLINE F32 fma(F32 a, F32 b, F32 c) {
  return static_cast<float>(static_cast<double>(a) * static_cast<double>(b) +
                            static_cast<double>(c));
}
SEAFORMER_INLINE void store_clamped(int8_t* p, float q) {
  *p = static_cast<int8_t>(q < kLeastQuantized  ? kLeastQuantized
                           : q > kMostQuantized ? kMostQuantized
                                                : static_cast<int32_t>(q));
}
SEAFORMER_INLINE void store_rounded(int8_t* p, F32 x, int32_t zero) {
  if (x != x) x = 0;
  // Adding the number rounds to whole ones where it is the larger.
  if (x > -1024 && x < 1024) x = (x + kMagic) - kMagic;
  store_clamped(p, x + static_cast<float>(zero));
}
SEAFORMER_INLINE void store_bits(int8_t* p, F32 x) { store_clamped(p, x - kMagic); }
SEAFORMER_INLINE F32 load_bytes(const int8_t* p) { return static_cast<float>(*p); }
SEAFORMER_INLINE void store(float* p, F32 x) { *p = x; }

// Of 4 x 4 bytes; rows of the result are `stride` apart.
SEAFORMER_INLINE void transpose_quad(const int8_t* from, int8_t* to, int64_t stride) {
  for (int i = 0; i < 16; ++i) to[i / 4 * stride + i % 4] = from[i % 4 * 4 + i / 4];
}

}  // namespace
}  // namespace scalar
}  // namespace seaformer
