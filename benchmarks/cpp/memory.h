// How long memory takes for the input and output of a layer.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "measure.h"

namespace seaformer::bench {

// Size of the second-level cache, or 0 if the system does not tell.
inline double l2_bytes() {
#ifdef _SC_LEVEL2_CACHE_SIZE
  return static_cast<double>(std::max(0L, sysconf(_SC_LEVEL2_CACHE_SIZE)));
#else
  return 0;
#endif
}

// Bytes read and written a second by copying 64 MB: the best of several copies.
inline double copy_bandwidth() {
  const std::vector<char> from(64 << 20, 1);
  std::vector<char> to(from.size());
  double best = 0;
  for (int i = 0; i < 10; ++i) {
    const auto start = std::chrono::steady_clock::now();
    std::memcpy(to.data(), from.data(), from.size());
    best = std::max(best, 2.0 * static_cast<double>(from.size()) / seconds_since(start));
  }
  return best;
}

// Whether so many bytes of input and output fit the second-level cache; if not, the time in which
// memory reads and writes them once at this bandwidth.
inline std::string memory_note(double bytes, double bandwidth) {
  const double cache = l2_bytes();
  if (bytes <= cache) return "  within L2";
  char note[80];
  std::snprintf(note, sizeof note, "  %s L2: %.3f ms from memory at %.1f GB/s",
                cache > 0 ? "beyond" : "unknown", 1e3 * bytes / bandwidth, bandwidth / 1e9);
  return note;
}

}  // namespace seaformer::bench
