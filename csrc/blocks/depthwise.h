// A depthwise convolution over whole maps, with threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "core/parallel.h"

namespace seaformer {

// Rows of output for that many of input; columns likewise.
int64_t depthwise_out(const PackedHeader& packed, int64_t in);

// `shape` is that of the input. Bytes that depthwise needs, kWorkspaceAlignment aligned, when given
// this many threads.
std::size_t depthwise_workspace(const MapShape& shape, const PackedHeader& packed, int64_t threads);

// From dense maps to dense ones of as many channels, which do not depend on the number of threads.
// `packed` was checked by checked_header.
void depthwise(const MapShape& shape, const PackedHeader& packed, const void* input, void* output,
               void* workspace, const Parallel& parallel);

}  // namespace seaformer
