// The fusion block of the light segmentation head on whole maps: local features, gated by coarser
// ones, without storing the gates or their resize.
#pragma once

#include <cstddef>

#include "blocks/gate.h"
#include "blocks/packed.h"
#include "core/parallel.h"

namespace seaformer {

// Bytes that fusion_gate needs, kWorkspaceAlignment aligned, when given this many threads.
std::size_t fusion_gate_workspace(const GateShape& shape, const PackedHeader& packed,
                                  int64_t threads);

// From dense local [batch, height, width, in_channels] and coarse [batch, coarse_height,
// coarse_width, hidden_channels] to dense output [batch, height, width, out_channels], which does
// not depend on the number of threads. `packed` was checked by checked_header.
void fusion_gate(const GateShape& shape, const PackedHeader& packed, const void* local,
                 const void* coarse, void* output, void* workspace, const Parallel& parallel);

}  // namespace seaformer
