#include "kernels/int8_depthwise/pack.h"

#include <algorithm>
#include <cstring>

#include "core/panel.h"
#include "core/quantized.h"

namespace seaformer {
namespace {

struct PanelArrays {
  int32_t bias[kPanel];
  float multiplier[kPanel], offset[kPanel];
  int32_t sum[kPanel];
};

}  // namespace

int64_t packed_int8_depthwise_bytes(int64_t channels, int kernel_size) {
  return panels(channels) *
         (int64_t{sizeof(PanelArrays)} + int64_t{kernel_size} * kernel_size * kPanel);
}

void pack_int8_depthwise(int64_t channels, int kernel_size, const int8_t* weight,
                         const int32_t* bias, const float* multiplier, int32_t zero_out,
                         void* packed) {
  const int64_t taps = int64_t{kernel_size} * kernel_size;
  auto* to = static_cast<int8_t*>(packed);
  for (int64_t first = 0; first < channels; first += kPanel) {
    PanelArrays arrays{};
    std::fill_n(arrays.bias, kPanel, kMagicBits);
    std::fill_n(arrays.offset, kPanel, quantized_offset(0, zero_out));
    int8_t* const weights = to + sizeof arrays;
    std::fill_n(weights, taps * kPanel, int8_t{0});
    for (int64_t n = 0; n < std::min(kPanel, channels - first); ++n) {
      const int64_t channel = first + n;
      for (int64_t i = 0; i < taps; ++i) {
        weights[i * kPanel + n] = weight[channel * taps + i];
        arrays.sum[n] += weight[channel * taps + i];
      }
      arrays.bias[n] += bias[channel];
      arrays.multiplier[n] = multiplier[channel];
      arrays.offset[n] = quantized_offset(multiplier[channel], zero_out);
    }
    std::memcpy(to, &arrays, sizeof arrays);
    to = weights + taps * kPanel;
  }
}

}  // namespace seaformer
