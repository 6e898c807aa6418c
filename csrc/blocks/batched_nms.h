// Non-maximum suppression among the boxes of each class.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/parallel.h"

namespace seaformer {

// Indices of boxes have 32 bits in keys that are sorted.
constexpr int64_t kMostBoxes = INT64_C(0xffffffff);

// Bytes that batched_nms needs, kWorkspaceAlignment aligned, when given this many threads.
std::size_t batched_nms_workspace(int64_t count, int64_t threads);

// Boxes [count][4] (left, top, right, bottom), at most kMostBoxes. In falling order of scores, NaN
// first and equal ones by their index, a box is kept unless its overlap (intersection over union)
// with one kept before of its class exceeds the threshold, compared in float64. Writes the indices
// of those kept, in that order, and returns how many; room for `count`. They do not depend on the
// number of threads or the instruction set. The threshold is from 0 to 1.
int64_t batched_nms(const float* boxes, const float* scores, const int64_t* classes, int64_t count,
                    double threshold, int64_t* kept, void* workspace, const Parallel& parallel);

}  // namespace seaformer
