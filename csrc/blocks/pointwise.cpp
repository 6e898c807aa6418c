#include "blocks/pointwise.h"

#include "blocks/activated.h"
#include "blocks/block_kind.h"
#include "blocks/over_grains.h"
#include "blocks/section_reader.h"
#include "kernels/int8_pointwise/variants.h"
#include "kernels/pointwise/variants.h"

namespace seaformer {

void pointwise(int64_t pixels, const PackedHeader& packed, bool residual, const void* input,
               void* output, const Parallel& parallel) {
  const Element element = element_of(packed);
  const PointwiseKernel& kernel = pointwise_kernel(element);
  const int64_t in = packed.in_channels, out = packed.out_channels;
  constexpr int64_t kGrain = 24;  // pixels, a multiple of every tile's
  over_grains(pixels, kGrain, parallel, [&](int64_t, int64_t begin, int64_t count) {
    Pointwise args;
    args.input = {after(input, begin * in, element), in, element};
    args.weights = packed_sections(packed);
    args.output = {after(output, begin * out, element), out, element};
    args.pixels = count;
    args.in_channels = in;
    args.out_channels = out;
    args.activation = static_cast<Activation>(packed.expand_activation);
    if (residual) args.residual = args.input;
    run_activated(kernel, args);
  });
}

bool calculates_in(Element element) {
  if (element == Element::kI8) return int8_pointwise_kernel().isa != pointwise_kernel().isa;
  // What is only stored has variants of the instruction sets that float32 has.
  return element == Element::kF32 || pointwise_kernel(element).isa != pointwise_kernel().isa;
}

namespace {

// Sections: pointwise(in, out).
class PointwiseKind final : public BlockKind {
 public:
  Sections sections(const PackedHeader& w) const override {
    return Sections(w).pointwise(w.in_channels, w.out_channels);
  }
  void check(const char* op, const PackedHeader& w) const override {
    check_activation(op, w.expand_activation);
  }
  bool may_add_input(const PackedHeader& w) const override {
    return w.in_channels == w.out_channels;
  }
  std::size_t workspace(const BlockCall&, int64_t) const override { return 0; }
  void run(const BlockCall& call, const BlockArrays& arrays,
           const Parallel& parallel) const override {
    pointwise(call.input.pixels(), call.weights, call.residual, arrays.input, arrays.output,
              parallel);
  }
};

}  // namespace

const BlockKind& pointwise_kind() {
  static constexpr PointwiseKind kKind;
  return kKind;
}

}  // namespace seaformer
