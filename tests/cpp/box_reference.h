// What the overlap of two boxes is.
#pragma once

#include <algorithm>

namespace seaformer::test {

// Intersection over union of boxes of left, top, right and bottom, each operation in float32.
inline float overlap(const float* a, const float* b) {
  const float width = std::max(0.0f, std::min(a[2], b[2]) - std::max(a[0], b[0]));
  const float height = std::max(0.0f, std::min(a[3], b[3]) - std::max(a[1], b[1]));
  const float shared = width * height;
  return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared);
}

}  // namespace seaformer::test
