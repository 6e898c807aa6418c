// Activations behind a convolution, as all kernels and packed weights name them. Free of std::
// code, so ISA files may include it.
#pragma once

#include <stdint.h>

namespace seaformer {

// The codes stand in packed weights, and stay. From kLeastLeakyRelu on they are leaky ReLUs: the
// bits of what numbers below zero are multiplied with, a positive normal float.
enum class Activation : int32_t {
  kNone,
  kRelu,
  kRelu6,
  kHardSigmoid,
  kHardSwish,
  kSilu,
  kSigmoid,
  kGelu,      // by the error function, as PyTorch's default
  kGeluTanh,  // by its approximation
  kLeastLeakyRelu = 0x00800000,
  kLast = 0x7f7fffff
};

// What an activation that only clamps clamps to.
struct Bounds {
  float low, high;
};
constexpr Bounds bounds_of(Activation activation) {
  return {activation == Activation::kNone ? -__builtin_inff() : 0.0f,
          activation == Activation::kRelu6 ? 6.0f : __builtin_inff()};
}

}  // namespace seaformer
