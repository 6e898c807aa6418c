// Random numbers that all element types have, as elements of one.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "blocks/section_reader.h"
#include "core/element.h"
#include "core/quantized.h"

namespace seaformer::test {

// A number near x that float16 and bfloat16 have.
inline float in_every_type(float x) { return to_float(to_half(to_float(to_bfloat16(x)))); }

inline void put(Element element, float x, int64_t at, void* to) {
  with_zero_of(element, [&](auto zero) {
    using T = decltype(zero);
    static_cast<T*>(to)[at] = from_float<T>(x);
  });
}

template <class Draw>
void fill(Element element, int64_t count, const Draw& draw, void* to) {
  for (int64_t i = 0; i < count; ++i) put(element, in_every_type(draw()), i, to);
}

// Where an element of a section of float32 lies in that of its own type.
inline int64_t place_in_section(const Sections::Section& section, int64_t at) {
  if (section.element != Element::kBF16 || section.taps == 0) return at;
  const int64_t panel = kPanel * (section.taps + 1), tap = at % panel / kPanel - 1;
  if (tap < 0) return at;
  const int64_t first = tap / kGroupedTaps * kGroupedTaps;
  const int64_t group = std::min(kGroupedTaps, section.taps - first);
  return at / panel * panel + kPanel * (first + 1) + at % kPanel * group + (tap - first);
}

// The same numbers whatever the type of the section.
template <class Draw>
void fill(const Sections::Section& section, const Draw& draw, void* to) {
  for (int64_t i = 0; i < section.elements; ++i) {
    put(section.element, in_every_type(draw()), place_in_section(section, i), to);
  }
}

// A section of int8 weights, of which a panel takes so many bytes; what it writes has a zero point.
template <class Draw>
void fill_int8(const Sections::Section& section, int64_t panel_bytes, int32_t zero,
               const Draw& draw, void* to) {
  for (int64_t at = 0; at < section.elements; at += panel_bytes) {
    auto* const panel = static_cast<unsigned char*>(to) + at;
    const int64_t arrays = kInt8PanelArrays * 4 * kPanel;
    // Side by side of an output: a group of its inputs, or a tap of its channel.
    const int64_t together = section.taps > 0 ? kInt8Taps : 1;
    int32_t sums[kPanel] = {};
    for (int64_t i = 0; i < panel_bytes - arrays; ++i) {
      const auto weight = static_cast<int8_t>(60 * std::tanh(draw()));
      panel[arrays + i] = static_cast<unsigned char>(weight);
      sums[i / together % kPanel] += weight;
    }
    for (int64_t n = 0; n < kPanel; ++n) {
      const int32_t bias = kMagicBits + static_cast<int32_t>(100 * draw());
      const float multiplier = 0x1p-9f, offset = quantized_offset(multiplier, zero);
      std::memcpy(panel + 4 * n, &bias, 4);
      std::memcpy(panel + 4 * (kPanel + n), &multiplier, 4);
      std::memcpy(panel + 4 * (2 * kPanel + n), &offset, 4);
      std::memcpy(panel + 4 * (3 * kPanel + n), &sums[n], 4);
    }
  }
}

}  // namespace seaformer::test
