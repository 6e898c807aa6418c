// What the ops of the segmentation head check of their two maps.
#pragma once

#include "blocks/gate.h"
#include "packed_tensor.h"

namespace seaformer {

// Of maps that passed channels_last_map, checked against each other and the packed weights.
inline GateShape gate_shape(const char* op, const Tensor& local, const Tensor& coarse,
                            const PackedHeader& header) {
  require(local.size(0) == coarse.size(0), op,
          ": expected local and coarse maps of one batch size, got ", local.size(0), " and ",
          coarse.size(0));
  require(header.in_channels == local.size(1) && header.hidden_channels == coarse.size(1), op,
          ": expected packed weights for ", local.size(1), " local and ", coarse.size(1),
          " coarse channels, got ", header.in_channels, " and ", header.hidden_channels);
  return {map_shape(local), map_shape(coarse)};
}

}  // namespace seaformer
