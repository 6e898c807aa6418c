// What the header of SEA attention's packed weights means, whatever their element type.
#pragma once

#include <cmath>
#include <cstdint>

#include "blocks/axial_heads.h"
#include "blocks/packed.h"

namespace seaformer {

constexpr int64_t kPositions = 16;  // learned ones of an axis

struct SeaAttentionWidths {
  explicit SeaAttentionWidths(const PackedHeader& packed)
      : channels(packed.in_channels),
        all(packed.hidden_channels),
        keys(int64_t{packed.heads} * packed.key_dim),
        values(all - 2 * keys) {}
  int64_t channels;
  int64_t all;  // queries, keys and values
  int64_t keys, values;
};

inline AxialHeadsShape heads_shape(const MapShape& shape, const PackedHeader& packed) {
  AxialHeadsShape axial;
  axial.maps = shape;
  axial.heads = packed.heads;
  axial.key_dim = packed.key_dim;
  axial.value_dim = SeaAttentionWidths(packed).values / packed.heads;
  axial.scale = 1.0f / std::sqrt(static_cast<float>(packed.key_dim));
  axial.low = 0.0f;
  axial.high = 6.0f;
  return axial;
}

}  // namespace seaformer
