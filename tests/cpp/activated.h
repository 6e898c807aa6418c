// Activations by their definitions, in float64.
#pragma once

#include <algorithm>
#include <cmath>

#include "core/activation.h"

namespace seaformer::test {

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
  }
  return x;
}

// Its greatest slope at most, by which errors of x grow.
inline double steepest(Activation activation) {
  return activation > Activation::kHardSigmoid ? 1.5 : 1;
}

constexpr Activation kActivations[] = {
    Activation::kNone,      Activation::kRelu, Activation::kRelu6,   Activation::kHardSigmoid,
    Activation::kHardSwish, Activation::kSilu, Activation::kSigmoid, Activation::kGelu};

}  // namespace seaformer::test
