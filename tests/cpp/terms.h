// Expected values as float64 sums of terms, and outputs of blocks held against them.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "check.h"
#include "on_isas.h"

namespace seaformer::test {

// A value and the sum of the magnitudes that it comes from.
struct Term {
  double value = 0, magnitude = 0;
};

// bias + sum_k x[k] * weight[k]
template <class X>
Term dot(int64_t count, const X& x, const float* weight, float bias) {
  Term sum{bias, std::abs(bias)};
  for (int64_t k = 0; k < count; ++k) {
    const Term in = x(k);
    sum.value += in.value * weight[k];
    sum.magnitude += in.magnitude * std::abs(weight[k]);
  }
  return sum;
}

// Runs a block with every instruction set: its outputs are within so many roundings of float32 of
// the expected ones, and the same bits with any number of threads. `run` takes that number.
template <class Run>
void check_terms(const std::string& what, const std::vector<Term>& expected, double roundings,
                 const Run& run) {
  on_every_isa([&] {
    const std::vector<float> one = run(1);
    for (std::size_t i = 0; i < one.size(); ++i) {
      const double bound = roundings * 0x1p-24 * expected[i].magnitude + 1e-37;
      check(std::abs(one[i] - expected[i].value) <= bound, what, "element ", i, " is ", one[i],
            ", expected ", expected[i].value, " within ", bound);
    }
    for (int64_t threads = 2; threads <= 8; ++threads) {
      check(std::memcmp(run(threads).data(), one.data(), one.size() * sizeof(float)) == 0, what,
            threads, " threads differ from one");
    }
  });
}

}  // namespace seaformer::test
