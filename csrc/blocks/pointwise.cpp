#include "blocks/pointwise.h"

#include <algorithm>

#include "kernels/pointwise/variants.h"

namespace seaformer {

void pointwise(int64_t pixels, const PackedHeader& packed, const float* input, float* output,
               const Parallel& parallel) {
  const PointwiseKernel& kernel = pointwise_kernel();
  const int64_t in = packed.in_channels, out = packed.out_channels;
  constexpr int64_t kGrain = 24;  // pixels, a multiple of every tile's
  const int64_t grains = (pixels + kGrain - 1) / kGrain;
  const int64_t tasks = std::min(grains, parallel.threads());
  parallel.run(tasks, [&](int64_t task) {
    const int64_t begin = grains * task / tasks * kGrain;
    const int64_t end = std::min(grains * (task + 1) / tasks * kGrain, pixels);
    kernel.run({input + begin * in, in, packed_sections(packed), output + begin * out, out, nullptr,
                0, nullptr, 0, end - begin, in, out,
                static_cast<Activation>(packed.expand_activation)});
  });
}

}  // namespace seaformer
