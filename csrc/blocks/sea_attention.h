// Squeeze-enhanced axial attention of SeaFormer (ICLR 2023, section 3.2) as one block.
#pragma once

#include <cstddef>
#include <cstdint>

#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "core/parallel.h"

namespace seaformer {

// Two ways to the same result: the map of queries, keys and values is kept, and squeezed to the
// means of its rows and columns; or the means are those of the input, squeezed before the
// projections, which are linear, and the map is made a few rows at a time.
enum class SeaAttentionWay { kMeasuredBest, kKeepMap, kRing };

// Bytes that sea_attention needs, kWorkspaceAlignment aligned, when given this many threads.
std::size_t sea_attention_workspace(const MapShape& shape, const PackedHeader& packed,
                                    int64_t threads,
                                    SeaAttentionWay way = SeaAttentionWay::kMeasuredBest);

// From dense input [batch, height, width, channels] to dense output of the same shape, which does
// not depend on the number of threads. A residual adds the input, as a SEA layer does. `packed` was
// checked by checked_header.
void sea_attention(const MapShape& shape, const PackedHeader& packed, bool residual,
                   const void* input, void* output, void* workspace, const Parallel& parallel,
                   SeaAttentionWay way = SeaAttentionWay::kMeasuredBest);

}  // namespace seaformer
