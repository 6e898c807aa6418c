// Pixels, or positions along an axis, as kernels take them: the channels of each lie side by side,
// `stride` counts floats from one to the next. Free of std:: code, so ISA files may include it.
#pragma once

#include <stdint.h>

namespace seaformer {

struct InPixels {
  const float* data = nullptr;  // null for none, where a contract allows it
  int64_t stride = 0;
};

struct OutPixels {
  float* data = nullptr;
  int64_t stride = 0;
};

}  // namespace seaformer
