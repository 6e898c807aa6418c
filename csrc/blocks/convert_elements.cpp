#include "blocks/convert_elements.h"

#include <algorithm>
#include <cstring>

#include "blocks/over_grains.h"
#include "core/pixels.h"
#include "kernels/convert/variants.h"
#include "kernels/int8_convert/variants.h"

namespace seaformer {
namespace {

void widen(const MapType& type, const void* from, int64_t count, float* to) {
  if (type.element == Element::kI8) {
    return int8_convert_kernel().dequantize(static_cast<const int8_t*>(from), count, type.zero,
                                            type.scale, to);
  }
  convert_kernel(type.element).widen(from, count, to);
}

void narrow(const MapType& type, const float* from, int64_t count, void* to) {
  if (type.element == Element::kI8) {
    return int8_convert_kernel().quantize(from, count, 1.0f / type.scale, type.zero,
                                          static_cast<int8_t*>(to));
  }
  convert_kernel(type.element).narrow(from, count, to);
}

}  // namespace

void convert_elements(int64_t count, const MapType& from_type, const void* from,
                      const MapType& to_type, void* to, const Parallel& parallel) {
  constexpr int64_t kGrain = 4096;  // elements that are worth a thread
  constexpr int64_t kChunk = 256;   // elements that are float32 in between
  over_grains(count, kGrain, parallel, [&](int64_t, int64_t begin, int64_t part) {
    const void* const read = after(from, begin, from_type.element);
    void* const written = after(to, begin, to_type.element);
    if (from_type == to_type) {
      std::memcpy(written, read, static_cast<std::size_t>(part * bytes_of(to_type.element)));
      return;
    }
    if (to_type.element == Element::kF32) {
      return widen(from_type, read, part, static_cast<float*>(written));
    }
    if (from_type.element == Element::kF32) {
      return narrow(to_type, static_cast<const float*>(read), part, written);
    }
    float wide[kChunk];
    for (int64_t i = 0; i < part; i += kChunk) {
      const int64_t elements = std::min(kChunk, part - i);
      widen(from_type, after(read, i, from_type.element), elements, wide);
      narrow(to_type, wide, elements, after(written, i, to_type.element));
    }
  });
}

}  // namespace seaformer
