// What tests of the fusion gate and of the segmentation head share: data, and the fused map in
// float64.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "blocks/gate.h"
#include "guarded.h"
#include "terms.h"

namespace seaformer::test {

struct GateCase {
  GateShape shape;
  int local, coarse, out;
};

inline std::string describe(const GateCase& c) {
  std::ostringstream text;
  const MapShape &local = c.shape.local, &coarse = c.shape.coarse;
  text << local.batch << "x" << local.height << "x" << local.width << " from " << coarse.height
       << "x" << coarse.width << ", " << c.local << " and " << c.coarse << " to " << c.out
       << " channels: ";
  return text.str();
}

struct GateProblem {
  GateProblem(const GateCase& c, Against side)
      : c(c),
        local(c.shape.local.pixels() * c.local, side),
        coarse(c.shape.coarse.pixels() * c.coarse, side) {
    for (Guarded<float>* map : {&local, &coarse}) {
      for (std::size_t i = 0; i < map->size(); ++i) (*map)[i] = normal(random);
    }
    local_weight = draw(c.out * c.local, 1 / std::sqrt(static_cast<float>(c.local)));
    coarse_weight = draw(c.out * c.coarse, 2 / std::sqrt(static_cast<float>(c.coarse)));
    local_bias = draw(c.out, 0.3f);
    coarse_bias = draw(c.out, 0.3f);
  }

  std::vector<float> draw(std::size_t count, float scale) {
    std::vector<float> v(count);
    for (float& x : v) x = normal(random) * scale;
    return v;
  }

  // Weights of the two sources of an output along an axis, half-pixel centres.
  static void sources(int64_t in, int64_t out, int64_t i, int64_t (&at)[2], double (&weight)[2]) {
    const double x = std::max((i + 0.5) * in / out - 0.5, 0.0);
    at[0] = std::min(static_cast<int64_t>(x), in - 1);
    at[1] = std::min(at[0] + 1, in - 1);
    weight[1] = std::min(x - at[0], 1.0);
    weight[0] = 1 - weight[1];
  }

  // The fused map [batch][height][width][out] without shift.
  std::vector<Term> fused() const {
    const MapShape &s = c.shape.local, &from = c.shape.coarse;
    std::vector<Term> gates;
    for (int64_t p = 0; p < from.pixels(); ++p) {
      const auto x = [&](int64_t k) {
        const double v = coarse[p * c.coarse + k];
        return Term{v, std::abs(v)};
      };
      for (int n = 0; n < c.out; ++n) {
        const Term t = dot(c.coarse, x, &coarse_weight[n * c.coarse], coarse_bias[n]);
        // A product with it keeps all of its factor's rounding, so that it counts as one at least.
        gates.push_back({std::clamp(t.value + 3, 0.0, 6.0) / 6, t.magnitude + 3});
      }
    }
    std::vector<Term> fused;
    for (int64_t p = 0; p < s.pixels(); ++p) {
      int64_t row[2], column[2];
      double row_weight[2], column_weight[2];
      sources(from.height, s.height, p / s.width % s.height, row, row_weight);
      sources(from.width, s.width, p % s.width, column, column_weight);
      const int64_t first = p / s.width / s.height * from.height;
      const auto x = [&](int64_t k) {
        const double v = local[p * c.local + k];
        return Term{v, std::abs(v)};
      };
      for (int n = 0; n < c.out; ++n) {
        Term gate;
        for (int i = 0; i < 4; ++i) {
          const int64_t at = (first + row[i / 2]) * from.width + column[i % 2];
          const double weight = row_weight[i / 2] * column_weight[i % 2];
          gate.value += weight * gates[at * c.out + n].value;
          gate.magnitude = std::max(gate.magnitude, gates[at * c.out + n].magnitude);
        }
        const Term t = dot(c.local, x, &local_weight[n * c.local], local_bias[n]);
        fused.push_back({t.value * gate.value, t.magnitude * gate.magnitude});
      }
    }
    return fused;
  }

  // Roundings of a fused value: two sums of products, the hard sigmoid, the resize, whose weights
  // are off by as many units as there are coarse rows and columns, and the product.
  double roundings() const {
    return c.local + c.coarse + 2.0 * (c.shape.coarse.height + c.shape.coarse.width) + 16;
  }

  GateCase c;
  std::mt19937 random{17};
  std::normal_distribution<float> normal;
  Guarded<float> local, coarse;
  std::vector<float> local_weight, coarse_weight, local_bias, coarse_bias;
};

// Sizes that both tests go through: equal ones, one row or column on either side, integer and other
// ratios, coarse maps larger than the local one, rows around the chunk.
inline std::vector<GateShape> gate_shapes() {
  return {{{1, 1, 1}, {1, 1, 1}},   {{2, 1, 1}, {2, 3, 2}},  {{1, 5, 6}, {1, 5, 6}},
          {{2, 4, 8}, {2, 2, 4}},   {{1, 9, 1}, {1, 3, 1}},  {{1, 1, 25}, {1, 1, 4}},
          {{1, 3, 24}, {1, 2, 12}}, {{1, 7, 49}, {1, 3, 7}}, {{3, 6, 23}, {3, 4, 5}},
          {{1, 4, 5}, {1, 9, 11}},  {{1, 16, 3}, {1, 2, 3}}};
}

}  // namespace seaformer::test
