// The end of a segmentation head that upsamples, on whole maps: a map resized to twice its size
// (bilinear, half-pixel centres), a depthwise convolution, two 1x1 convolutions with ReLU between
// them, of which the second is the classifier; only the logits are stored.
#pragma once

#include <cstddef>
#include <cstdint>

#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "core/parallel.h"

namespace seaformer {

// Bytes that upsampling_head needs, kWorkspaceAlignment aligned, when given this many threads.
std::size_t upsampling_head_workspace(const MapShape& shape, const PackedHeader& packed,
                                      int64_t threads);

// From a dense map [batch, height, width, in_channels] to dense logits [batch, 2 height, 2 width,
// classes], which do not depend on the number of threads. `packed` was checked by checked_header.
// If winners is not null it becomes each pixel's best class, as for segmentation_head.
void upsampling_head(const MapShape& shape, const PackedHeader& packed, const void* input,
                     void* logits, int32_t* winners, void* workspace, const Parallel& parallel);

}  // namespace seaformer
