// The sum of two maps, with an activation behind it.
#include <algorithm>
#include <cstring>

#include "blocks/block_kind.h"
#include "blocks/over_grains.h"
#include "blocks/two_maps.h"
#include "kernels/activate/variants.h"

namespace seaformer {
namespace {

constexpr int64_t kPassElements = 4096;  // that stay in a first-level cache between the passes

void add(const BlockCall& call, const BlockArrays& arrays, const Parallel& parallel) {
  const Element element = element_of(call.weights);
  const ActivateKernel& kernel = activate_kernel(element);
  const auto activation = static_cast<Activation>(call.weights.expand_activation);
  over_grains(call.input.elements(), kPassElements, parallel,
              [&](int64_t, int64_t begin, int64_t count) {
                for (const int64_t end = begin + count; begin < end; begin += kPassElements) {
                  Activate args;
                  args.count = 1;
                  args.channels = std::min(kPassElements, end - begin);
                  args.pixels = {after(arrays.output, begin, element), args.channels, element};
                  args.residual = {after(arrays.coarse, begin, element), args.channels, element};
                  std::memcpy(args.pixels.data, after(arrays.input, begin, element),
                              static_cast<std::size_t>(args.channels * bytes_of(element)));
                  kernel.run(args);
                  args.residual = {};
                  args.activation = activation;
                  if (activation != Activation::kNone) kernel.run(args);
                }
              });
}

class AddKind final : public TwoMapsKind {
 public:
  void check(const char* op, const PackedHeader& w) const override {
    check_equal_channels(op, w);
    check_activation(op, w.expand_activation);
  }
  void run(const BlockCall& call, const BlockArrays& arrays,
           const Parallel& parallel) const override {
    add(call, arrays, parallel);
  }
};

}  // namespace

const BlockKind& add_kind() {
  static constexpr AddKind kKind;
  return kKind;
}

}  // namespace seaformer
