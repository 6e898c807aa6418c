// The order of packed weights. Free of std:: code, so ISA files may include it.
#pragma once

#include <stdint.h>

namespace seaformer {

// Output channels packed side by side: one vector of the widest ISA, whole vectors of the others.
// One layout for all of them, so that weights packed on one machine serve on any other.
constexpr int64_t kPanel = 16;

constexpr int64_t panels(int64_t channels) { return (channels + kPanel - 1) / kPanel; }

}  // namespace seaformer
