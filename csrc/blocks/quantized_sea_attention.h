// SEA attention of int8 maps: its convolutions are of int8; means, softmax, positions and gates are
// of float32.
#pragma once

#include <cstddef>

#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "core/parallel.h"

namespace seaformer {

// As of sea_attention, for packed weights of int8.
std::size_t quantized_sea_attention_workspace(const MapShape& shape, const PackedHeader& packed,
                                              int64_t threads);
void quantized_sea_attention(const MapShape& shape, const PackedHeader& packed, bool residual,
                             const void* input, void* output, void* workspace,
                             const Parallel& parallel);

}  // namespace seaformer
