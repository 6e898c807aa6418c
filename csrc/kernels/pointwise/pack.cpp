#include <algorithm>
#include <type_traits>

#include "kernels/pointwise/variants.h"

namespace seaformer {
namespace {

// Where the weight of an input channel lies behind those of the first output channel of a panel,
// whose own are at most `channels`, for the output channel n of the panel.
template <class T>
int64_t tap_offset(int64_t channels, int64_t k, int64_t n) {
  if constexpr (!std::is_same_v<T, BFloat16>) return k * kPanel + n;
  const int64_t first = k / kGroupedTaps * kGroupedTaps;
  return first * kPanel + n * std::min(kGroupedTaps, channels - first) + (k - first);
}

}  // namespace

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
    T* const panel = packed + n / kPanel * kPanel * (in_channels + 1);
    if (bias != nullptr) panel[n % kPanel] = from_float<T>(bias[n]);
    for (int64_t k = 0; k < in_channels; ++k) {
      panel[kPanel + tap_offset<T>(in_channels, k, n % kPanel)] =
          from_float<T>(weight[n * in_channels + k]);
    }
  }
}

template void pack_pointwise(int64_t, int64_t, const float*, const float*, float*);
template void pack_pointwise(int64_t, int64_t, const float*, const float*, Half*);
template void pack_pointwise(int64_t, int64_t, const float*, const float*, BFloat16*);

}  // namespace seaformer
