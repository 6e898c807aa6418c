// Maps that a block reads where they lie.
#pragma once

#include <cstdint>

#include "blocks/map_shape.h"

namespace seaformer {

// Maps whose pixels have their channels side by side; strides count floats.
struct PixelMaps {
  const float* data;
  MapShape shape;
  int64_t channels;
  int64_t image_stride, row_stride, pixel_stride;
};

// Pixels that lie one behind the other.
inline PixelMaps dense_maps(const float* data, const MapShape& shape, int64_t channels) {
  const int64_t row = shape.width * channels;
  return {data, shape, channels, shape.height * row, row, channels};
}

}  // namespace seaformer
