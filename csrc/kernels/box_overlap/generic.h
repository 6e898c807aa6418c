// The overlaps over the vector wrapper. An ISA file includes its wrapper, defines SEAFORMER_ISA and
// SEAFORMER_ISA_ENUM, then includes this.
#pragma once

#include "kernels/box_overlap/box_overlap.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

// max(min(high) - max(low), 0)
SEAFORMER_INLINE F32x16 shared_side(F32x16 low, F32x16 high, const float* lows,
                                    const float* highs) {
  const F32x16 side = sub(at_most(high, load16(highs)), at_least(low, load16(lows)));
  return at_least(side, splat16(0.0f));
}

bool any_above(const Box& box, float group, const BoxList& list, int64_t count, float threshold) {
  const F32x16 left = splat16(box.left), top = splat16(box.top);
  const F32x16 right = splat16(box.right), bottom = splat16(box.bottom);
  const F32x16 area = splat16(box_area(box)), zero = splat16(0.0f);
  for (int64_t i = 0; i < count; i += kBoxBlock) {
    const F32x16 width = shared_side(left, right, list.left + i, list.right + i);
    const F32x16 height = shared_side(top, bottom, list.top + i, list.bottom + i);
    const F32x16 shared = mul(width, height);
    if (!lanes(greater(shared, zero)).any()) continue;  // the division is dear
    const F32x16 both = sub(add(area, load16(list.area + i)), shared);
    const Mask16 in_group = equal(splat16(group), load16(list.group + i));
    const F32x16 overlap = select(in_group, div(shared, both), zero);
    if (lanes(greater(overlap, splat16(threshold))).any()) return true;
  }
  return false;
}

}  // namespace

extern const BoxOverlapKernel box_overlap_kernel;
const BoxOverlapKernel box_overlap_kernel = {SEAFORMER_ISA_ENUM, any_above};

}  // namespace SEAFORMER_ISA
}  // namespace seaformer
