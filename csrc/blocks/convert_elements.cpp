#include "blocks/convert_elements.h"

#include <cstring>

#include "blocks/over_grains.h"
#include "core/pixels.h"
#include "kernels/convert/variants.h"

namespace seaformer {

void convert_elements(int64_t count, Element from_type, const void* from, Element to_type, void* to,
                      const Parallel& parallel) {
  constexpr int64_t kGrain = 4096;  // elements that are worth a thread
  const ConvertKernel& kernel = convert_kernel();
  over_grains(count, kGrain, parallel, [&](int64_t, int64_t begin, int64_t part) {
    const void* const source = after(from, begin, from_type);
    void* const target = after(to, begin, to_type);
    if (from_type == to_type) {
      std::memcpy(target, source, static_cast<std::size_t>(part * bytes_of(to_type)));
    } else if (to_type == Element::kF32) {
      kernel.widen(static_cast<const Half*>(source), part, static_cast<float*>(target));
    } else {
      kernel.narrow(static_cast<const float*>(source), part, static_cast<Half*>(target));
    }
  });
}

}  // namespace seaformer
