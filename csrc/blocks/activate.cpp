// A map behind an activation, where no step in front of it can do it, too.
#include <algorithm>
#include <cstring>

#include "blocks/block_kind.h"
#include "blocks/over_grains.h"
#include "core/pixels.h"
#include "kernels/activate/variants.h"

namespace seaformer {
namespace {

constexpr int64_t kPassElements = 4096;  // that stay in a first-level cache between the passes

class ActivateKind final : public BlockKind {
 public:
  Sections sections(const PackedHeader& w) const override { return Sections(w); }
  void check(const char* op, const PackedHeader& w) const override {
    check_output_channels(op, w);
    check_activation(op, w.expand_activation);
  }
  std::size_t workspace(const BlockCall&, int64_t) const override { return 0; }
  void run(const BlockCall& call, const BlockArrays& arrays,
           const Parallel& parallel) const override {
    const Element element = element_of(call.weights);
    const ActivateKernel& kernel = activate_kernel(element);
    over_grains(call.input.elements(), kPassElements, parallel,
                [&](int64_t, int64_t begin, int64_t count) {
                  for (const int64_t end = begin + count; begin < end; begin += kPassElements) {
                    Activate args;
                    args.count = 1;
                    args.channels = std::min(kPassElements, end - begin);
                    args.pixels = {after(arrays.output, begin, element), args.channels, element};
                    args.activation = static_cast<Activation>(call.weights.expand_activation);
                    std::memcpy(args.pixels.data, after(arrays.input, begin, element),
                                static_cast<std::size_t>(args.channels * bytes_of(element)));
                    if (args.activation != Activation::kNone) kernel.run(args);
                  }
                });
  }
};

}  // namespace

const BlockKind& activate_kind() {
  static constexpr ActivateKind kKind;
  return kKind;
}

}  // namespace seaformer
