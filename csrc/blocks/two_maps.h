// What blocks without weights have in common, that make one map of two.
#pragma once

#include <cstdint>

#include "blocks/block_kind.h"
#include "core/require.h"

namespace seaformer {

inline bool same_shape(const MapShape& a, const MapShape& b) {
  return a.batch == b.batch && a.height == b.height && a.width == b.width;
}

// Of blocks that leave the number of channels as it is.
inline void check_equal_channels(const char* op, const PackedHeader& w) {
  require(w.hidden_channels == w.in_channels && w.out_channels == w.in_channels, op,
          ": expected packed weights with as many hidden and output as input channels, got ",
          w.hidden_channels, ", ", w.out_channels, " and ", w.in_channels);
}

}  // namespace seaformer
