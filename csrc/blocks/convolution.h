// A dense convolution of any window over whole maps, with threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "blocks/window.h"
#include "core/parallel.h"

namespace seaformer {

// `shape` is that of the input. Bytes that convolution needs, kWorkspaceAlignment aligned, when
// given this many threads.
std::size_t convolution_workspace(const MapShape& shape, const PackedHeader& packed,
                                  int64_t threads);

// From dense maps of in_channels to those of out_channels, window_of(packed).out(shape), which must
// not be empty but for the batch. They do not depend on the number of threads. `packed` was checked
// by checked_header.
void convolution(const MapShape& shape, const PackedHeader& packed, const void* input, void* output,
                 void* workspace, const Parallel& parallel);

}  // namespace seaformer
