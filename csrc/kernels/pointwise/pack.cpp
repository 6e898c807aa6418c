#include <algorithm>

#include "kernels/pointwise/variants.h"

namespace seaformer {

int64_t packed_pointwise_floats(const PointwiseKernel& kernel, int64_t in_channels,
                                int64_t out_channels) {
  return (out_channels + kernel.lanes - 1) / kernel.lanes * kernel.lanes * (in_channels + 1);
}

void pack_pointwise(const PointwiseKernel& kernel, int64_t in_channels, int64_t out_channels,
                    const float* weight, const float* bias, float* packed) {
  for (int64_t first = 0; first < out_channels; first += kernel.panel) {
    const int64_t left = std::min(out_channels - first, kernel.panel);
    const int64_t width = (left + kernel.lanes - 1) / kernel.lanes * kernel.lanes;
    std::fill_n(packed, width * (in_channels + 1), 0.0f);
    for (int64_t n = 0; n < left; ++n) {
      if (bias != nullptr) packed[n] = bias[first + n];
      for (int64_t k = 0; k < in_channels; ++k) {
        packed[(k + 1) * width + n] = weight[(first + n) * in_channels + k];
      }
    }
    packed += width * (in_channels + 1);
  }
}

}  // namespace seaformer
