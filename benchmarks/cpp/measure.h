// Times of kernels and the multiply-add peak to hold them against.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace seaformer::bench {

inline double seconds_since(const std::chrono::steady_clock::time_point& start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Multiply-adds a second with the ISA in use: the best of several short runs.
inline double fma_peak() {
  double best = 0;
  for (int i = 0; i < 20; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const auto macs = static_cast<double>(run_fma_rounds(100000));
    best = std::max(best, macs / seconds_since(start));
  }
  return best;
}

struct Seconds {
  double best, median;
};

// Of calls over a quarter of a second.
template <class F>
Seconds time_calls(const F& call) {
  call();
  std::vector<double> times;
  const auto begin = std::chrono::steady_clock::now();
  while (seconds_since(begin) < 0.25 || times.size() < 5) {
    const auto start = std::chrono::steady_clock::now();
    call();
    times.push_back(seconds_since(start));
  }
  std::sort(times.begin(), times.end());
  return {times.front(), times[times.size() / 2]};
}

// One line: a layer's median time, and its share of the peak measured just before, at the median
// and at best.
template <class F>
void report(const std::string& layer, double macs, const F& call, const std::string& note) {
  const double limit = fma_peak();
  const Seconds taken = time_calls(call);
  std::printf("%-58s %8.3f ms  %6.1f GMAC/s of %6.1f  %3.0f%%  best %3.0f%%%s\n", layer.c_str(),
              taken.median * 1e3, macs / taken.median / 1e9, limit / 1e9,
              100 * macs / taken.median / limit, 100 * macs / taken.best / limit, note.c_str());
}

}  // namespace seaformer::bench
