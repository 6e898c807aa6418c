// Arithmetic on int8 maps, as all kernels and packed weights agree on it. Free of std:: code, so
// ISA files may include it.
//
// A map of int8 numbers q stands for scale * (q - zero). After ReLU and ReLU6 the zero point is
// -128, else 0, so that saturation is the lower clamp. Sums of products are exact, in int32. What a
// layer writes is
//
//   q = clamp(round(sum * multiplier) + zero, -128, 127)     round: to nearest, ties to even
//
// with a multiplier that is a whole number of 2^-22. Then all of it is integer arithmetic, and
// every ISA has the same result. Yet none needs integer multiplications of 64 bits or conversions:
// sums begin at the bits of the float 1.5 * 2^23, which makes them the bits of the float 1.5 * 2^23
// + sum as long as |sum| < 2^22, and one fused multiply-add with the constant that
// quantized_offset() tells gives the bits of 1.5 * 2^23 + zero + round(sum * multiplier).
//
// Whoever packs weights sees to the limits, from the magnitudes of weights and inputs:
//   |sum| < 2^22, |round(sum * multiplier) + zero| < 2^15, multiplier <= 2.
// Beyond them numbers are wrong, and may differ between ISAs.
#pragma once

#include <stdint.h>

#include "core/activation.h"

namespace seaformer {

constexpr float kMagic = 12582912.0f;        // 1.5 * 2^23
constexpr int32_t kMagicBits = 0x4B400000;   // its bits
constexpr float kMultiplierUnit = 0x1p-22f;  // multipliers are multiples of it
constexpr float kMostMultiplier = 2.0f;
constexpr int32_t kLeastQuantized = -128, kMostQuantized = 127;

constexpr int32_t zero_point(Activation activation) {
  return activation == Activation::kRelu || activation == Activation::kRelu6 ? kLeastQuantized : 0;
}

// Exact for every multiplier within the limits.
constexpr float quantized_offset(float multiplier, int32_t zero) {
  return static_cast<float>(static_cast<double>(kMagic) - static_cast<double>(kMagic) * multiplier +
                            zero);
}

// A quantized number times ratio / 2^12, as `sqrdmulh` and `pmulhrsw` do it: halves go up.
constexpr int32_t kRatioOne = 1 << 12;
constexpr int32_t scaled_quantized(int32_t q, int32_t ratio) {
  return (q * 8 * ratio + (1 << 14)) >> 15;
}

}  // namespace seaformer
