// The size of the maps that a block works on.
#pragma once

#include <cstdint>

namespace seaformer {

// All sizes from 1 up.
struct MapShape {
  int64_t batch = 0, height = 0, width = 0;
  int64_t pixels() const { return batch * height * width; }
};

}  // namespace seaformer
