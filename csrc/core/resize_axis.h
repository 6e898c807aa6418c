// Where the outputs of a bilinear resize lie between its sources, along one axis. Free of std::
// code, so ISA files may include it.
#pragma once

#include <stdint.h>

namespace seaformer {

// Outputs [begin, end) of one axis that lie between the same two sources, `low` and `high`.
struct ResizeRun {
  int64_t low, high;
  int64_t begin, end;
};

// One axis of the resize. Output i is low_weight[i] * source[low] + high_weight[i] * source[high].
struct ResizeAxis {
  const ResizeRun* runs;  // covers the outputs in order
  int64_t run_count;
  const float* low_weight;   // one an output, and readable for kWeightPadding more
  const float* high_weight;  // likewise
};
constexpr int64_t kWeightPadding = 8;

}  // namespace seaformer
