// The sections of packed weights (packed.h), one behind the other.
#pragma once

#include <cstdint>

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

// What sections there are, likewise added one by one. Every call of an op looks at them: they are
// on the stack.
class Sections {
 public:
  struct Section {
    int64_t elements = 0;
    Element element = Element::kF32;
    int64_t taps = 0;  // input channels, of pointwise weights
    int64_t bytes() const { return elements * bytes_of(element); }
  };

  explicit Sections(Element element) : element_(element) {}
  explicit Sections(const PackedHeader& packed) : Sections(element_of(packed)) {}
  Sections& pointwise(int64_t in_channels, int64_t out_channels) {
    return add(packed_pointwise_floats(in_channels, out_channels), element_, in_channels);
  }
  Sections& depthwise(int64_t channels, int kernel_size) {
    return add(packed_depthwise_floats(channels, kernel_size), element_);
  }
  Sections& array(int64_t floats) { return add(panels(floats) * kPanel, Element::kF32); }

  const Section* begin() const { return list_; }
  const Section* end() const { return list_ + count_; }
  int64_t bytes() const {
    int64_t bytes = 0;
    for (const Section& section : *this) bytes += section.bytes();
    return bytes;
  }

 private:
  Sections& add(int64_t elements, Element element, int64_t taps = 0) {
    Section& section = list_[count_++];
    section.elements = elements;
    section.element = element;
    section.taps = taps;
    return *this;
  }

  static constexpr int kMost = 10;  // of a kind: those of SEA attention

  Element element_;
  int count_ = 0;
  Section list_[kMost];
};

}  // namespace seaformer
