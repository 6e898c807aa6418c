// Maps that a block reads where they lie.
#pragma once

#include <cstdint>

#include "blocks/map_shape.h"

namespace seaformer {

// Maps whose pixels have their channels side by side; strides count floats.
struct PixelMaps {
  const float* data = nullptr;
  MapShape shape;
  int64_t channels = 0;
  int64_t image_stride = 0, row_stride = 0, pixel_stride = 0;
};

// Pixels that lie one behind the other.
inline PixelMaps dense_maps(const float* data, const MapShape& shape, int64_t channels) {
  PixelMaps maps;
  maps.data = data;
  maps.shape = shape;
  maps.channels = channels;
  maps.pixel_stride = channels;
  maps.row_stride = shape.width * channels;
  maps.image_stride = shape.height * maps.row_stride;
  return maps;
}

}  // namespace seaformer
