// The types that maps and weights may have. Free of std:: code, so ISA files may include it.
#pragma once

#include <stdint.h>

namespace seaformer {

// The codes stand in packed weights, and stay.
enum class Element : int32_t { kF32, kF16, kBF16, kI8 };
// Those of floats; int8 maps, which have a scale, are for other kernels: core/quantized.h.
constexpr Element kElements[] = {Element::kF32, Element::kF16, Element::kBF16};
constexpr const char* element_name(Element element) {
  return element == Element::kF32   ? "float32"
         : element == Element::kF16 ? "float16"
         : element == Element::kI8  ? "int8"
                                    : "bfloat16";
}
constexpr bool is_element(int32_t code) {
  return code >= 0 && code <= static_cast<int32_t>(Element::kI8);
}
constexpr int64_t bytes_of(Element element) {
  return element == Element::kF32 ? 4 : element == Element::kI8 ? 1 : 2;
}

// A float16 in memory, by its bits.
struct Half {
  uint16_t bits;
};

// Rounded to nearest, ties to even.
__attribute__((always_inline)) inline Half to_half(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) {  // NaN, which stays one
    return {static_cast<uint16_t>(sign | 0x7e00 | (magnitude >> 13 & 0x3ff))};
  }
  if (magnitude >= 0x477ff000) return {static_cast<uint16_t>(sign | 0x7c00)};  // from 65520 up
  if (magnitude < 0x38800000) {  // a subnormal: adding 0.5 leaves its bits at the end, rounded
    float held;
    __builtin_memcpy(&held, &magnitude, sizeof held);
    held += 0.5f;
    __builtin_memcpy(&bits, &held, sizeof bits);
    return {static_cast<uint16_t>(sign | (bits - 0x3f000000))};
  }
  const uint32_t odd = magnitude >> 13 & 1;
  return {static_cast<uint16_t>(sign | ((magnitude - 0x38000000 + 0xfff + odd) >> 13))};
}

__attribute__((always_inline)) inline float to_float(Half x) {
  const uint32_t sign = static_cast<uint32_t>(x.bits & 0x8000) << 16, magnitude = x.bits & 0x7fff;
  uint32_t bits = magnitude << 13;
  if (magnitude >= 0x7c00) {
    bits += 0x70000000;  // infinity and NaN
  } else if (magnitude >= 0x0400) {
    bits += 0x38000000;
  } else {  // a subnormal: 2^-14 and its bits, less 2^-14
    bits += 0x38800000;
    float held, least = 6.103515625e-5f;
    __builtin_memcpy(&held, &bits, sizeof held);
    held -= least;
    __builtin_memcpy(&bits, &held, sizeof bits);
  }
  bits |= sign;
  float result;
  __builtin_memcpy(&result, &bits, sizeof result);
  return result;
}

// A bfloat16 in memory: the upper half of a float32.
struct BFloat16 {
  uint16_t bits;
};

// Rounded to nearest, ties to even.
__attribute__((always_inline)) inline BFloat16 to_bfloat16(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7fffffff) > 0x7f800000) return {static_cast<uint16_t>(bits >> 16 | 0x40)};
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

__attribute__((always_inline)) inline float to_float(BFloat16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float result;
  __builtin_memcpy(&result, &bits, sizeof result);
  return result;
}

__attribute__((always_inline)) inline float to_float(float x) { return x; }

// The element type of a C++ type.
template <class T>
inline constexpr Element kElementOf = Element::kF32;
template <>
inline constexpr Element kElementOf<Half> = Element::kF16;
template <>
inline constexpr Element kElementOf<BFloat16> = Element::kBF16;

// Any, by the type that is wanted.
template <class T>
T from_float(float x);
template <>
__attribute__((always_inline)) inline float from_float(float x) {
  return x;
}
template <>
__attribute__((always_inline)) inline Half from_float(float x) {
  return to_half(x);
}
template <>
__attribute__((always_inline)) inline BFloat16 from_float(float x) {
  return to_bfloat16(x);
}

// Calls body with a zero of an element type of floats.
template <class Body>
void with_zero_of(Element element, const Body& body) {
  switch (element) {
    case Element::kF32:
      return body(float{});
    case Element::kF16:
      return body(Half{});
    case Element::kBF16:
      return body(BFloat16{});
    case Element::kI8:
      break;
  }
}

}  // namespace seaformer
