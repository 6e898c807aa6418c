// The sections of packed weights (packed.h), one behind the other.
#pragma once

#include <cstdint>

#include "blocks/packed.h"
#include "core/panel.h"
#include "kernels/depthwise/variants.h"
#include "kernels/pointwise/variants.h"

namespace seaformer {

// Each call returns where a section begins, and goes on to the next.
class SectionReader {
 public:
  explicit SectionReader(const float* sections) : next_(sections) {}
  explicit SectionReader(const PackedHeader& packed) : next_(packed_sections(packed)) {}

  const float* pointwise(int64_t in_channels, int64_t out_channels) {
    return skip(packed_pointwise_floats(in_channels, out_channels));
  }
  const float* depthwise(int64_t channels, int kernel_size) {
    return skip(packed_depthwise_floats(channels, kernel_size));
  }
  // An array that is no weights of a kernel: it takes whole panels.
  const float* array(int64_t floats) { return skip(panels(floats) * kPanel); }

  // The sections that are left.
  const float* rest() const { return next_; }

 private:
  const float* skip(int64_t floats) {
    const float* const here = next_;
    next_ += floats;
    return here;
  }

  const float* next_;
};

}  // namespace seaformer
