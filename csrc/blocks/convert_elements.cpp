#include "blocks/convert_elements.h"

#include <algorithm>
#include <cstring>

#include "blocks/over_grains.h"
#include "core/pixels.h"
#include "kernels/convert/variants.h"

namespace seaformer {

void convert_elements(int64_t count, Element from_type, const void* from, Element to_type, void* to,
                      const Parallel& parallel) {
  constexpr int64_t kGrain = 4096;  // elements that are worth a thread
  constexpr int64_t kChunk = 256;   // elements that are float32 in between
  const ConvertKernel &source = convert_kernel(from_type), &target = convert_kernel(to_type);
  over_grains(count, kGrain, parallel, [&](int64_t, int64_t begin, int64_t part) {
    const void* const read = after(from, begin, from_type);
    void* const written = after(to, begin, to_type);
    if (from_type == to_type) {
      std::memcpy(written, read, static_cast<std::size_t>(part * bytes_of(to_type)));
      return;
    }
    if (to_type == Element::kF32) return source.widen(read, part, static_cast<float*>(written));
    if (from_type == Element::kF32) {
      return target.narrow(static_cast<const float*>(read), part, written);
    }
    float wide[kChunk];
    for (int64_t i = 0; i < part; i += kChunk) {
      const int64_t elements = std::min(kChunk, part - i);
      source.widen(after(read, i, from_type), elements, wide);
      target.narrow(wide, elements, after(written, i, to_type));
    }
  });
}

}  // namespace seaformer
