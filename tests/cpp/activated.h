// Activations by their definitions, in float64.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/activation.h"

namespace seaformer::test {

inline Activation leaky_relu(float slope) {
  Activation activation;
  std::memcpy(&activation, &slope, sizeof slope);
  return activation;
}
inline float slope_of(Activation leaky) {
  float slope;
  std::memcpy(&slope, &leaky, sizeof slope);
  return slope;
}
inline bool is_leaky(Activation activation) { return activation >= Activation::kLeastLeakyRelu; }

inline double activated(double x, Activation activation) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kRelu6:
      return std::clamp(x, 0.0, 6.0);
    case Activation::kHardSigmoid:
      return std::clamp(x + 3, 0.0, 6.0) / 6;
    case Activation::kHardSwish:
      return x * std::clamp(x + 3, 0.0, 6.0) / 6;
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::kGelu:
      return x * std::erfc(-x / std::sqrt(2.0)) / 2;
    case Activation::kGeluTanh:
      return x / (1 + std::exp(-2 * std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    default:
      return x > 0 ? x : x * slope_of(activation);
  }
}

// Its greatest slope at most, by which errors of x grow.
inline double steepest(Activation activation) {
  if (is_leaky(activation)) return std::max(1.0f, slope_of(activation));
  return activation > Activation::kHardSigmoid ? 1.5 : 1;
}

const Activation kActivations[] = {
    Activation::kNone,      Activation::kRelu, Activation::kRelu6,   Activation::kHardSigmoid,
    Activation::kHardSwish, Activation::kSilu, Activation::kSigmoid, Activation::kGelu,
    Activation::kGeluTanh,  leaky_relu(0.1f)};

}  // namespace seaformer::test
