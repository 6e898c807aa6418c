#include "blocks/convert_elements.h"

#include <algorithm>
#include <cstring>

#include "core/pixels.h"
#include "kernels/convert/variants.h"

namespace seaformer {

void convert_elements(int64_t count, Element from_type, const void* from, Element to_type, void* to,
                      const Parallel& parallel) {
  constexpr int64_t kGrain = 4096;  // elements that are worth a thread
  const ConvertKernel& kernel = convert_kernel();
  const int64_t grains = (count + kGrain - 1) / kGrain;
  const int64_t tasks = std::min(grains, parallel.threads());
  parallel.run(tasks, [&](int64_t task) {
    const int64_t begin = grains * task / tasks * kGrain;
    const int64_t part = std::min(grains * (task + 1) / tasks * kGrain, count) - begin;
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
