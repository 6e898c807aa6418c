// Squeeze-axial attention of SeaFormer (ICLR 2023, section 3.2) on queries, keys and values that
// somebody else made: squeeze, learned positions, and multi-head attention along either axis.
#pragma once

#include <cstddef>
#include <cstdint>

#include "blocks/axial_heads.h"
#include "blocks/pixel_maps.h"
#include "core/parallel.h"

namespace seaformer {

struct LearnedPositions {
  const float* data = nullptr;  // [count][keys], or null for none
  int64_t count = 0;
};

struct SqueezeAxialAttention {
  AxialHeadsShape shape;
  PixelMaps q, k, v;  // of keys, keys and values channels, and of the shape's batch and size
  LearnedPositions row_q, row_k, column_q, column_k;
};

// Bytes that squeeze_axial_attention needs, kWorkspaceAlignment aligned, with this many threads.
std::size_t squeeze_axial_attention_workspace(const SqueezeAxialAttention& args, int64_t threads);

// Fills rows [batch * height][values] and columns [batch * width][values], which do not depend on
// the number of threads.
void squeeze_axial_attention(const SqueezeAxialAttention& args, float* rows, float* columns,
                             void* workspace, const Parallel& parallel);

}  // namespace seaformer
