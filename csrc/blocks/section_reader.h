// The sections of packed weights (packed.h), one behind the other.
#pragma once

#include <cstdint>
#include <vector>

#include "blocks/packed.h"
#include "core/panel.h"
#include "core/pixels.h"
#include "kernels/depthwise/variants.h"
#include "kernels/pointwise/variants.h"

namespace seaformer {

// Each call returns where a section begins, and goes on to the next.
class SectionReader {
 public:
  SectionReader(const void* sections, Element element) : next_(sections), element_(element) {}
  explicit SectionReader(const PackedHeader& packed)
      : SectionReader(packed_sections(packed), element_of(packed)) {}

  const void* pointwise(int64_t in_channels, int64_t out_channels) {
    return skip(packed_pointwise_floats(in_channels, out_channels), element_);
  }
  const void* depthwise(int64_t channels, int kernel_size) {
    return skip(packed_depthwise_floats(channels, kernel_size), element_);
  }
  // An array that is no weights of a kernel: float32, and it takes whole panels.
  const float* array(int64_t floats) {
    return static_cast<const float*>(skip(panels(floats) * kPanel, Element::kF32));
  }

  // The sections that are left.
  const void* rest() const { return next_; }

 private:
  const void* skip(int64_t elements, Element element) {
    const void* const here = next_;
    next_ = after(next_, elements, element);
    return here;
  }

  const void* next_;
  const Element element_;
};

// What sections there are, likewise added one by one.
class Sections {
 public:
  struct Section {
    int64_t elements;
    Element element;
    int64_t bytes() const { return elements * bytes_of(element); }
  };

  explicit Sections(Element element) : element_(element) {}
  explicit Sections(const PackedHeader& packed) : Sections(element_of(packed)) {}
  Sections& pointwise(int64_t in_channels, int64_t out_channels) {
    return add(packed_pointwise_floats(in_channels, out_channels), element_);
  }
  Sections& depthwise(int64_t channels, int kernel_size) {
    return add(packed_depthwise_floats(channels, kernel_size), element_);
  }
  Sections& array(int64_t floats) { return add(panels(floats) * kPanel, Element::kF32); }

  const std::vector<Section>& list() const { return list_; }
  int64_t bytes() const {
    int64_t bytes = 0;
    for (const Section& section : list_) bytes += section.bytes();
    return bytes;
  }

 private:
  Sections& add(int64_t elements, Element element) {
    list_.push_back({elements, element});
    return *this;
  }

  Element element_;
  std::vector<Section> list_;
};

}  // namespace seaformer
