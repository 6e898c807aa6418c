// The classification head on whole maps: the mean over all pixels, then a linear layer.
#pragma once

#include <cstddef>
#include <cstdint>

#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "core/parallel.h"

namespace seaformer {

// Bytes that classification_head needs, kWorkspaceAlignment aligned, when given this many threads.
std::size_t classification_head_workspace(const MapShape& shape, const PackedHeader& packed,
                                          int64_t threads);

// From dense input [batch, height, width, in_channels] to dense logits [batch, out_channels], which
// do not depend on the number of threads. `packed` was checked by checked_header.
void classification_head(const MapShape& shape, const PackedHeader& packed, const void* input,
                         void* logits, void* workspace, const Parallel& parallel);

}  // namespace seaformer
