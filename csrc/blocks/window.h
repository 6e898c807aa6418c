// The window of a convolution or a pool, and where it lies on the map that it slides over.
#pragma once

#include <algorithm>
#include <cstdint>

#include "blocks/map_shape.h"
#include "blocks/packed.h"

namespace seaformer {

// Along one axis of a map; sizes count its rows or columns.
struct WindowAxis {
  int64_t size = 1, stride = 1, dilation = 1;
  int64_t padding = 0;  // on either side, unless `same`
  bool same = false;    // as little of it as gives an output for every `stride` inputs

  // Inputs from the first that a window covers to the last.
  int64_t reach() const { return (size - 1) * dilation + 1; }

  // Windows on so many inputs; 0 if the padded axis is smaller than one.
  int64_t out(int64_t in) const {
    if (same) return (in + stride - 1) / stride;
    return std::max<int64_t>(in + 2 * padding - reach() + stride, 0) / stride;
  }

  // Where the first window begins: so many inputs before the map. What `same` pads is split as
  // TensorFlow does it, the odd one behind the map.
  int64_t before(int64_t in) const {
    if (!same) return padding;
    return std::max<int64_t>((out(in) - 1) * stride + reach() - in, 0) / 2;
  }
};

struct Window {
  WindowAxis rows, columns;
  int64_t taps() const { return rows.size * columns.size; }
  // Of a map of that shape; no pixels if no window fits.
  MapShape out(const MapShape& in) const {
    return {in.batch, rows.out(in.height), columns.out(in.width)};
  }
};

// What the header of a convolution or a pool says.
inline Window window_of(const PackedHeader& packed) {
  const bool same = pads_same(packed);
  return {{packed.kernel_size, packed.stride, dilation(packed), row_padding(packed), same},
          {kernel_width(packed), packed.stride, dilation(packed), column_padding(packed), same}};
}

// Either axis of a depthwise convolution that a block with that header does.
inline WindowAxis depthwise_axis(const PackedHeader& packed) {
  return {packed.kernel_size, packed.stride, 1, packed.kernel_size / 2, pads_same(packed)};
}

// Throws std::invalid_argument, which names `op`, unless that is possible.
void check_window(const char* op, const PackedHeader& packed);

}  // namespace seaformer
