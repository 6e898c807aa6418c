// Maps that a block reads where they lie.
#pragma once

#include <cstdint>

namespace seaformer {

// Maps whose pixels have their channels side by side; strides count floats. All sizes from 1 up.
struct PixelMaps {
  const float* data;
  int64_t batch, height, width, channels;
  int64_t image_stride, row_stride, pixel_stride;
};

// Pixels that lie one behind the other.
inline PixelMaps dense_maps(const float* data, int64_t batch, int64_t height, int64_t width,
                            int64_t channels) {
  const int64_t row = width * channels;
  return {data, batch, height, width, channels, height * row, row, channels};
}

}  // namespace seaformer
