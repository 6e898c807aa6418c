#include <algorithm>
#include <cstring>

#include "kernels/int8_pointwise/variants.h"

namespace seaformer {

int64_t packed_int8_pointwise_offset(int64_t in_channels, int64_t out_channel) {
  const int64_t taps = (in_channels + kInt8Taps - 1) / kInt8Taps * kInt8Taps;
  return out_channel * (kInt8PanelArrays * static_cast<int64_t>(sizeof(int32_t)) + taps);
}

int64_t packed_int8_pointwise_bytes(int64_t in_channels, int64_t out_channels) {
  return packed_int8_pointwise_offset(in_channels, panels(out_channels) * kPanel);
}

void pack_int8_pointwise(int64_t in_channels, int64_t out_channels, const int8_t* weight,
                         const int32_t* bias, const float* multiplier, int32_t zero_in,
                         int32_t zero_out, void* packed) {
  std::memset(packed, 0,
              static_cast<std::size_t>(packed_int8_pointwise_bytes(in_channels, out_channels)));
  for (int64_t first = 0; first < out_channels; first += kPanel) {
    int32_t sums[kPanel], weight_sums[kPanel] = {};
    float multipliers[kPanel] = {}, offsets[kPanel];
    const auto panel =
        static_cast<int8_t*>(packed) + packed_int8_pointwise_offset(in_channels, first);
    int8_t* const taps = panel + sizeof sums + sizeof multipliers + sizeof offsets + sizeof sums;
    std::fill_n(sums, kPanel, kMagicBits);
    std::fill_n(offsets, kPanel, quantized_offset(0, zero_out));
    for (int64_t n = 0; n < std::min(kPanel, out_channels - first); ++n) {
      const int8_t* const from = weight + (first + n) * in_channels;
      for (int64_t k = 0; k < in_channels; ++k) {
        taps[(k / kInt8Taps * kPanel + n) * kInt8Taps + k % kInt8Taps] = from[k];
        weight_sums[n] += from[k];
      }
      sums[n] += bias[first + n] - zero_in * weight_sums[n];
      multipliers[n] = multiplier[first + n];
      offsets[n] = quantized_offset(multipliers[n], zero_out);
    }
    int8_t* to = panel;
    for (const void* array :
         {static_cast<const void*>(sums), static_cast<const void*>(multipliers),
          static_cast<const void*>(offsets), static_cast<const void*>(weight_sums)}) {
      std::memcpy(to, array, sizeof sums);
      to += sizeof sums;
    }
  }
}

}  // namespace seaformer
