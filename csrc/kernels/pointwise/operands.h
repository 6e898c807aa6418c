// What an inner loop of the kernel reads, of float32.
#pragma once

#include <stdint.h>

namespace seaformer {

struct Operands {
  const float* input;  // of the first pixel
  int64_t input_stride;
  const float* weights;  // of the first vector of output channels, with the biases before them
  int64_t panel;         // packed elements of a panel
  int64_t in_channels;
};

}  // namespace seaformer
