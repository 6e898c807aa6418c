// Contract of the micro-kernel that compares a box with a list of boxes of its own group.
//
//   intersection = max(min(right) - max(left), 0) * max(min(bottom) - max(top), 0)
//   overlap      = intersection / ((area + area of the other) - intersection)
//
// Each operation is rounded to float32 in this order, so that every ISA has the same result.
//
// Free of std:: code, so ISA files may include it.
//
// Aliasing  none is written.
// Alignment of elements only.
// NaN       overlaps nothing, as a box with a NaN has an area that is one; areas are those of
//           box_area.
// Tails     arrays are readable to the next multiple of kBoxBlock, and hold zeros behind `count`:
//           a box without extent intersects nothing.
#pragma once

#include <stdint.h>

#include "core/isa.h"

namespace seaformer {

constexpr int64_t kBoxBlock = 16;

struct Box {
  float left, top, right, bottom;
};

__attribute__((always_inline)) inline float box_area(const Box& box) {
  return (box.right - box.left) * (box.bottom - box.top);
}

// Boxes only suppress others of their group, a small integer.
struct BoxList {
  const float *left, *top, *right, *bottom, *area, *group;
};

struct BoxOverlapKernel {
  Isa isa;
  // Whether the overlap with any of the first `count` boxes exceeds the threshold, which is not
  // negative.
  bool (*any_above)(const Box& box, float group, const BoxList& list, int64_t count,
                    float threshold);
};

// The one list of variants: declarations, the choice, tests and benchmarks all come from it.
#define SEAFORMER_BOX_OVERLAP_VARIANTS(X, ...) SEAFORMER_BUILT_ISAS(box_overlap, X, __VA_ARGS__)

SEAFORMER_BOX_OVERLAP_VARIANTS(SEAFORMER_DECLARE_VARIANT, BoxOverlapKernel, box_overlap_kernel)

}  // namespace seaformer
