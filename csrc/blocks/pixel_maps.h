// Maps that a block reads where they lie.
#pragma once

#include <cstdint>

#include "blocks/map_shape.h"
#include "core/pixels.h"

namespace seaformer {

// Maps whose pixels have their channels side by side; strides count elements.
struct PixelMaps {
  const void* data = nullptr;
  Element element = Element::kF32;
  MapShape shape;
  int64_t channels = 0;
  int64_t image_stride = 0, row_stride = 0, pixel_stride = 0;

  // The pixels of a row from a channel on.
  InPixels row(int64_t image, int64_t y, int64_t channel) const {
    return {after(data, image * image_stride + y * row_stride + channel, element), pixel_stride,
            element};
  }
};

// Pixels that lie one behind the other.
inline PixelMaps dense_maps(const void* data, const MapShape& shape, int64_t channels,
                            Element element = Element::kF32) {
  PixelMaps maps;
  maps.data = data;
  maps.element = element;
  maps.shape = shape;
  maps.channels = channels;
  maps.pixel_stride = channels;
  maps.row_stride = shape.width * channels;
  maps.image_stride = shape.height * maps.row_stride;
  return maps;
}

}  // namespace seaformer
