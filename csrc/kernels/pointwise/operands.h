// What an inner loop of the kernel reads.
#pragma once

#include <stdint.h>

namespace seaformer {

template <class T>
struct Operands {
  const T* input;  // of the first pixel
  int64_t input_stride;
  const T* weights;  // of the first vector of output channels, with the biases before them
  int64_t panel;     // packed elements of a panel
  int64_t in_channels;
};

}  // namespace seaformer
