// A 3x3 convolution of float32 by Winograd's F(2x2, 3x3): see kernels/winograd/winograd.h.
#pragma once

#include <cstddef>

#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "core/parallel.h"

namespace seaformer {

// As convolution_workspace and convolution, of weights that by_winograd.
std::size_t winograd_workspace(const MapShape& shape, const PackedHeader& packed, int64_t threads);
void winograd_convolution(const MapShape& shape, const PackedHeader& packed, const float* input,
                          float* output, void* workspace, const Parallel& parallel);

}  // namespace seaformer
