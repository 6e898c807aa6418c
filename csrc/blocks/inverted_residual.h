// The mobile inverted residual, and the MLP of a SEA layer, which is one with other activations:
// expand (1x1), depthwise, project (1x1), without ever storing the expanded map.
// With squeeze-and-excite, what is filtered is stored before it is projected.
#pragma once

#include <cstddef>
#include <cstdint>

#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "blocks/row_source.h"
#include "core/parallel.h"

namespace seaformer {

// Rows of output for that many of input; columns likewise.
int64_t inverted_residual_out(const PackedHeader& packed, int64_t in);

// Bytes that inverted_residual needs, kWorkspaceAlignment aligned, when given this many threads.
std::size_t inverted_residual_workspace(const MapShape& shape, const PackedHeader& packed,
                                        int64_t threads, int64_t source_scratch = 0);

// From dense input [batch, height, width, in_channels] to dense output of out_channels, which does
// not depend on the number of threads. A residual adds the input; for stride 1 and equal widths.
// `packed` was checked by checked_header.
void inverted_residual(const MapShape& shape, const PackedHeader& packed, bool residual,
                       const void* input, void* output, void* workspace, const Parallel& parallel);

// The same of a map that is never stored: `source` makes its rows, with source_scratch floats a
// pixel. `packed` neither expands nor squeezes.
void inverted_residual_of_rows(const MapShape& shape, const PackedHeader& packed, bool residual,
                               const RowSource& source, int64_t source_scratch, void* output,
                               void* workspace, const Parallel& parallel);

}  // namespace seaformer
