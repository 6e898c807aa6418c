// The end of the light segmentation head on whole maps: the last fusion block, shift and ReLU, and
// the classifier, without storing the fused map.
#pragma once

#include <cstddef>
#include <cstdint>

#include "blocks/gate.h"
#include "blocks/packed.h"
#include "core/parallel.h"

namespace seaformer {

// Bytes that segmentation_head needs, kWorkspaceAlignment aligned, when given this many threads.
std::size_t segmentation_head_workspace(const GateShape& shape, const PackedHeader& packed,
                                        int64_t threads);

// From dense local [batch, height, width, in_channels] and coarse [batch, coarse_height,
// coarse_width, hidden_channels] to dense logits [batch, height, width, classes], which do not
// depend on the number of threads. `packed` was checked by checked_header. If winners is not null
// it becomes each pixel's best class, as upsample_argmax takes it; for kMinClasses or more, and
// float32 logits.
void segmentation_head(const GateShape& shape, const PackedHeader& packed, const void* local,
                       const void* coarse, void* logits, int32_t* winners, void* workspace,
                       const Parallel& parallel);

}  // namespace seaformer
