#include <algorithm>

#include "kernels/pointwise/variants.h"

namespace seaformer {

int64_t packed_pointwise_floats(int64_t in_channels, int64_t out_channels) {
  return panels(out_channels) * kPanel * (in_channels + 1);
}

int64_t packed_pointwise_offset(int64_t in_channels, int64_t out_channel) {
  return out_channel / kPanel * kPanel * (in_channels + 1) + out_channel % kPanel;
}

template <class T>
void pack_pointwise(int64_t in_channels, int64_t out_channels, const float* weight,
                    const float* bias, T* packed) {
  std::fill_n(packed, packed_pointwise_floats(in_channels, out_channels), T{});
  for (int64_t n = 0; n < out_channels; ++n) {
    T* to = packed + packed_pointwise_offset(in_channels, n);
    if (bias != nullptr) *to = from_float<T>(bias[n]);
    for (int64_t k = 0; k < in_channels; ++k) {
      to[(k + 1) * kPanel] = from_float<T>(weight[n * in_channels + k]);
    }
  }
}

template void pack_pointwise(int64_t, int64_t, const float*, const float*, float*);
template void pack_pointwise(int64_t, int64_t, const float*, const float*, Half*);

}  // namespace seaformer
