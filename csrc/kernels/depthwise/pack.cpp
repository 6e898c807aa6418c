#include <algorithm>

#include "kernels/depthwise/variants.h"

namespace seaformer {

int64_t packed_depthwise_floats(int64_t channels, int kernel_size) {
  return panels(channels) * kPanel * (kernel_size * kernel_size + 1);
}

template <class T>
void pack_depthwise(int64_t channels, int kernel_size, const float* weight, const float* bias,
                    T* packed) {
  const int taps = kernel_size * kernel_size;
  std::fill_n(packed, packed_depthwise_floats(channels, kernel_size), T{});
  for (int64_t c = 0; c < channels; ++c) {
    T* to = packed + c / kPanel * kPanel * (taps + 1) + c % kPanel;
    if (bias != nullptr) *to = from_float<T>(bias[c]);
    for (int tap = 0; tap < taps; ++tap) {
      to[(tap + 1) * kPanel] = from_float<T>(weight[c * taps + tap]);
    }
  }
}

template void pack_depthwise(int64_t, int, const float*, const float*, float*);
template void pack_depthwise(int64_t, int, const float*, const float*, Half*);
template void pack_depthwise(int64_t, int, const float*, const float*, BFloat16*);

}  // namespace seaformer
