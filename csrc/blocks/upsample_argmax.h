// Labels from class logits: bilinear resize, then argmax over classes, over threads and images.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/parallel.h"

namespace seaformer {

// All sizes from 1 up.
struct UpsampleArgmaxShape {
  int64_t batch, classes;
  int64_t in_height, in_width;
  int64_t out_height, out_width;
};

// Bytes that upsample_argmax needs, kWorkspaceAlignment aligned, when given this many threads.
std::size_t upsample_argmax_workspace(const UpsampleArgmaxShape& shape, int64_t threads);

// logits [batch, in_height, in_width, classes] -> labels [batch, out_height, out_width]. The labels
// do not depend on the number of threads. Label is uint8_t (at most 256 classes) or int32_t.
template <class Label>
void upsample_argmax(const UpsampleArgmaxShape& shape, const float* logits, Label* labels,
                     void* workspace, const Parallel& parallel);

}  // namespace seaformer
