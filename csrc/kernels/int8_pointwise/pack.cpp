#include <algorithm>
#include <cstring>

#include "kernels/int8_pointwise/variants.h"

namespace seaformer {
namespace {

constexpr int64_t kArrayBytes = kInt8PanelArrays * kPanel * int64_t{sizeof(int32_t)};

int64_t groups(int64_t channels) { return (channels + kInt8Taps - 1) / kInt8Taps; }

struct PanelArrays {
  int32_t bias[kPanel];
  float multiplier[kPanel], offset[kPanel];
  int32_t sum[kPanel];
};
static_assert(sizeof(PanelArrays) == kArrayBytes);

// The arrays of a panel from channel `first` on, with biases for inputs as they are.
PanelArrays panel_arrays(int64_t first, int64_t channels, int64_t inputs, const Int8Layer& layer,
                         int32_t zero_in, int32_t zero_out) {
  PanelArrays arrays;
  for (int64_t n = 0; n < kPanel; ++n) {
    const int64_t channel = first + n;
    const bool exists = channel < channels;
    int32_t sum = 0;
    for (int64_t k = 0; exists && k < inputs; ++k) sum += layer.weight[channel * inputs + k];
    arrays.sum[n] = sum;
    arrays.bias[n] = kMagicBits + (exists ? layer.bias[channel] - zero_in * sum : 0);
    arrays.multiplier[n] = exists ? layer.multiplier[channel] : 0.0f;
    arrays.offset[n] = quantized_offset(arrays.multiplier[n], zero_out);
  }
  return arrays;
}

}  // namespace

int64_t packed_int8_pointwise_bytes(int64_t in_channels, int64_t out_channels) {
  return panels(out_channels) * (kArrayBytes + groups(in_channels) * kInt8Taps * kPanel);
}

int64_t packed_int8_depthwise_bytes(int64_t channels, int kernel_size) {
  return panels(channels) * (kArrayBytes + int64_t{kernel_size} * kernel_size * kPanel);
}

void pack_int8_pointwise(int64_t in_channels, int64_t out_channels, const Int8Layer& layer,
                         int32_t zero_in, int32_t zero_out, void* packed) {
  auto* to = static_cast<unsigned char*>(packed);
  for (int64_t first = 0; first < out_channels; first += kPanel) {
    const PanelArrays arrays =
        panel_arrays(first, out_channels, in_channels, layer, zero_in, zero_out);
    std::memcpy(to, &arrays, sizeof arrays);
    auto* const weights = reinterpret_cast<int8_t*>(to + sizeof arrays);
    const int64_t count = groups(in_channels) * kInt8Taps * kPanel;
    std::fill_n(weights, count, int8_t{0});
    for (int64_t n = 0; n < std::min(kPanel, out_channels - first); ++n) {
      for (int64_t k = 0; k < in_channels; ++k) {
        weights[(k / kInt8Taps * kPanel + n) * kInt8Taps + k % kInt8Taps] =
            layer.weight[(first + n) * in_channels + k];
      }
    }
    to += kArrayBytes + count;
  }
}

void pack_int8_depthwise(int64_t channels, int kernel_size, const Int8Layer& layer,
                         int32_t zero_out, void* packed) {
  const int64_t taps = int64_t{kernel_size} * kernel_size;
  auto* to = static_cast<unsigned char*>(packed);
  for (int64_t first = 0; first < channels; first += kPanel) {
    const PanelArrays arrays = panel_arrays(first, channels, taps, layer, 0, zero_out);
    std::memcpy(to, &arrays, sizeof arrays);
    auto* const weights = reinterpret_cast<int8_t*>(to + sizeof arrays);
    std::fill_n(weights, taps * kPanel, int8_t{0});
    for (int64_t n = 0; n < std::min(kPanel, channels - first); ++n) {
      for (int64_t i = 0; i < taps; ++i) {
        weights[i * kPanel + n] = layer.weight[(first + n) * taps + i];
      }
    }
    to += kArrayBytes + taps * kPanel;
  }
}

}  // namespace seaformer
