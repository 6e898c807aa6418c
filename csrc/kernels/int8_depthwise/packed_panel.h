// A channel in packed weights. Free of std:: code, so ISA files may include it.
#pragma once

#include "kernels/int8_depthwise/int8_depthwise.h"

namespace seaformer {

struct PackedChannel {
  int32_t magic_bias, weight_sum;
  float multiplier, offset;
  const int8_t* taps;  // kPanel from one to the next
};

__attribute__((always_inline)) inline int64_t packed_panel_bytes(int kernel_size) {
  return kPanel * (4 * 4 + kernel_size * kernel_size);
}

__attribute__((always_inline)) inline PackedChannel packed_channel(const void* packed,
                                                                   int kernel_size, int64_t c) {
  const int64_t lane = c % kPanel;
  const void* const panel = after(packed, c / kPanel * packed_panel_bytes(kernel_size));
  PackedChannel channel;
  __builtin_memcpy(&channel.magic_bias, after(panel, 4 * lane), 4);
  __builtin_memcpy(&channel.multiplier, after(panel, 4 * (kPanel + lane)), 4);
  __builtin_memcpy(&channel.offset, after(panel, 4 * (2 * kPanel + lane)), 4);
  __builtin_memcpy(&channel.weight_sum, after(panel, 4 * (3 * kPanel + lane)), 4);
  channel.taps = static_cast<const int8_t*>(after(panel, 4 * 4 * kPanel + lane));
  return channel;
}

}  // namespace seaformer
