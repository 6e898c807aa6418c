#include <algorithm>
#include <cstring>

#include "kernels/int8_depthwise/packed_panel.h"
#include "kernels/int8_depthwise/variants.h"

namespace seaformer {

int64_t packed_int8_depthwise_bytes(int64_t channels, int kernel_size) {
  return panels(channels) * packed_panel_bytes(kernel_size);
}

void pack_int8_depthwise(int64_t channels, int kernel_size, const int8_t* weight,
                         const int32_t* bias, const float* multiplier, int32_t zero_out,
                         void* packed) {
  const int64_t taps = kernel_size * kernel_size;
  auto to = static_cast<int8_t*>(packed);
  for (int64_t first = 0; first < channels; first += kPanel) {
    int32_t sums[kPanel], weight_sums[kPanel] = {};
    float multipliers[kPanel] = {}, offsets[kPanel];
    int8_t* const weights = to + 4 * sizeof sums;
    std::memset(weights, 0, static_cast<std::size_t>(taps * kPanel));
    std::fill_n(sums, kPanel, kMagicBits);
    std::fill_n(offsets, kPanel, quantized_offset(0, zero_out));
    for (int64_t n = 0; n < std::min(kPanel, channels - first); ++n) {
      const int8_t* const from = weight + (first + n) * taps;
      for (int64_t tap = 0; tap < taps; ++tap) {
        weights[tap * kPanel + n] = from[tap];
        weight_sums[n] += from[tap];
      }
      sums[n] += bias[first + n];
      multipliers[n] = multiplier[first + n];
      offsets[n] = quantized_offset(multipliers[n], zero_out);
    }
    std::memcpy(to, sums, sizeof sums);
    std::memcpy(to + sizeof sums, multipliers, sizeof sums);
    std::memcpy(to + 2 * sizeof sums, offsets, sizeof sums);
    std::memcpy(to + 3 * sizeof sums, weight_sums, sizeof sums);
    to = weights + taps * kPanel;
  }
}

}  // namespace seaformer
