// What an inner loop of the kernel reads.
#pragma once

#include <stdint.h>

namespace seaformer {

struct Operands {
  const float* input;  // of the first pixel
  int64_t input_stride;
  const float* weights;  // of the first vector of output channels, with the biases before them
  int64_t panel;         // packed floats of a panel
  int64_t in_channels;
};

// What a tile's last vector of output channels holds: all of them, or some, or at most half of
// them, which wide vectors can make use of.
enum class Last { kWhole, kPart, kHalf };
template <Last last>
struct LastIs {};

}  // namespace seaformer
