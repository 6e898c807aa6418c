// The sections of packed weights (packed.h), one behind the other.
#pragma once

#include <cstdint>

#include "blocks/packed.h"
#include "core/panel.h"
#include "core/pixels.h"
#include "kernels/depthwise/variants.h"
#include "kernels/int8_depthwise/variants.h"
#include "kernels/int8_pointwise/variants.h"
#include "kernels/pointwise/variants.h"

namespace seaformer {

// Elements of a section, of int8 with the numbers that its weights come with.
inline int64_t pointwise_elements(Element element, int64_t in_channels, int64_t out_channels) {
  return element == Element::kI8 ? packed_int8_pointwise_bytes(in_channels, out_channels)
                                 : packed_pointwise_floats(in_channels, out_channels);
}
inline int64_t depthwise_elements(Element element, int64_t channels, int kernel_size) {
  return element == Element::kI8 ? packed_int8_depthwise_bytes(channels, kernel_size)
                                 : packed_depthwise_floats(channels, kernel_size);
}

// Each call returns where a section begins, and goes on to the next.
class SectionReader {
 public:
  SectionReader(const void* sections, Element element) : next_(sections), element_(element) {}
  explicit SectionReader(const PackedHeader& packed)
      : SectionReader(packed_sections(packed), element_of(packed)) {}

  const void* pointwise(int64_t in_channels, int64_t out_channels) {
    return skip(pointwise_elements(element_, in_channels, out_channels), element_);
  }
  const void* depthwise(int64_t channels, int kernel_size) {
    return skip(depthwise_elements(element_, channels, kernel_size), element_);
  }
  // An array that is no weights of a kernel: float32, and it takes whole panels.
  const float* array(int64_t floats) {
    return static_cast<const float*>(skip(panels(floats) * kPanel, Element::kF32));
  }

  // What weights of int8 begin with.
  const QuantizedNumbers& quantized_numbers() {
    return *reinterpret_cast<const QuantizedNumbers*>(array(kQuantizedNumbers));
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
    return add(pointwise_elements(element_, in_channels, out_channels), element_, in_channels);
  }
  Sections& depthwise(int64_t channels, int kernel_size) {
    return add(depthwise_elements(element_, channels, kernel_size), element_);
  }
  Sections& array(int64_t floats) { return add(panels(floats) * kPanel, Element::kF32); }

  // Weights of int8 begin with some numbers; others do not.
  Sections& quantized_numbers() {
    return element_ == Element::kI8 ? array(kQuantizedNumbers) : *this;
  }

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

  static constexpr int kMost = 16;  // of a kind: those of a convolution by Winograd's algorithm

  Element element_;
  int count_ = 0;
  Section list_[kMost];
};

}  // namespace seaformer
