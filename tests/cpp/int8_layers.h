// Random layers of int8 within the limits of core/quantized.h, and the plainest arithmetic on them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "core/quantized.h"

namespace seaformer::test {

struct RandomLayer {
  RandomLayer(int64_t outputs, int64_t inputs, std::mt19937& random)
      : outputs(outputs), inputs(inputs), weight(outputs * inputs), bias(outputs) {
    std::uniform_int_distribution<int> weights(-127, 127), biases(-2000, 2000);
    for (int8_t& w : weight) w = static_cast<int8_t>(weights(random));
    for (int32_t& b : bias) b = biases(random);
    for (int64_t n = 0; n < outputs; ++n) {
      // Outputs that take up the range, and now and then go beyond.
      const double spread = 73.0 * 74.0 * std::sqrt(double(inputs)) / 60.0;
      const double factor = std::uniform_real_distribution<>(0.5, 1.5)(random) / spread;
      multiplier.push_back(static_cast<float>(std::round(factor / double{kMultiplierUnit})) *
                           kMultiplierUnit);
    }
  }

  // The number behind an activation of this zero point.
  int quantized(int64_t output, int64_t sum, int zero) const {
    return clamped(std::nearbyint(double(sum) * double{multiplier[output]}) + zero);
  }
  static int clamped(double q) { return static_cast<int>(std::clamp(q, -128.0, 127.0)); }

  int64_t outputs, inputs;
  std::vector<int8_t> weight;
  std::vector<int32_t> bias;
  std::vector<float> multiplier;
};

}  // namespace seaformer::test
