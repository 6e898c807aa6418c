#include <algorithm>

#include "kernels/depthwise/variants.h"

namespace seaformer {

int64_t packed_depthwise_floats(const DepthwiseKernel& kernel, int64_t channels, int kernel_size) {
  return (channels + kernel.lanes - 1) / kernel.lanes * kernel.lanes *
         (kernel_size * kernel_size + 1);
}

void pack_depthwise(const DepthwiseKernel& kernel, int64_t channels, int kernel_size,
                    const float* weight, const float* bias, float* packed) {
  const int taps = kernel_size * kernel_size;
  std::fill_n(packed, packed_depthwise_floats(kernel, channels, kernel_size), 0.0f);
  for (int64_t c = 0; c < channels; ++c) {
    float* vector = packed + c / kernel.lanes * kernel.lanes * (taps + 1);
    const int64_t lane = c % kernel.lanes;
    if (bias != nullptr) vector[lane] = bias[c];
    for (int tap = 0; tap < taps; ++tap) {
      vector[(tap + 1) * kernel.lanes + lane] = weight[c * taps + tap];
    }
  }
}

}  // namespace seaformer
