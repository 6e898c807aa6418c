// The boxes that non-maximum suppression has kept so far, in the order in which they came.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/workspace.h"
#include "kernels/box_overlap/variants.h"

namespace seaformer {

// The largest float32 that is no larger: a float32 exceeds a threshold just if it exceeds this.
inline float rounded_down(double threshold) {
  const auto near = static_cast<float>(threshold);
  return near > threshold ? std::nextafter(near, -INFINITY) : near;
}

class KeptBoxes {
 public:
  // Room for so many.
  KeptBoxes(int64_t most, Carver& carver) {
    const int64_t room = (most + kBoxBlock - 1) / kBoxBlock * kBoxBlock;
    for (float*& array : arrays_) array = carver.take<float>(room);
  }
  int64_t count() const { return count_; }
  void clear() { count_ = 0; }

  // Whether the box overlaps one of its group by more than the threshold.
  bool suppress(const BoxOverlapKernel& kernel, const Box& box, float group,
                float threshold) const {
    const BoxList list{arrays_[0], arrays_[1], arrays_[2], arrays_[3], arrays_[4], arrays_[5]};
    return kernel.any_above(box, group, list, count_, threshold);
  }

  void add(const Box& box, float group) {
    if (count_ % kBoxBlock == 0) {  // the kernel reads whole blocks
      for (float* array : arrays_) std::fill_n(array + count_, kBoxBlock, 0.0f);
    }
    const float values[] = {box.left, box.top, box.right, box.bottom, box_area(box), group};
    for (int k = 0; k < 6; ++k) arrays_[k][count_] = values[k];
    ++count_;
  }

 private:
  float* arrays_[6];
  int64_t count_ = 0;
};

}  // namespace seaformer
