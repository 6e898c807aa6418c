#include "blocks/classification_head.h"

#include "blocks/block_kind.h"
#include "blocks/channel_means.h"
#include "blocks/few_pixels.h"
#include "blocks/section_reader.h"
#include "core/workspace.h"
#include "kernels/convert/variants.h"

namespace seaformer {
namespace {

struct Layout {
  Layout(const MapShape& shape, const PackedHeader& packed, int64_t threads, Carver& carver)
      : means(carver.take<float>(shape.batch * packed.in_channels)),
        linear(element_of(packed), packed.in_channels, threads),
        averaging(shape, packed.in_channels, element_of(packed), threads, carver) {
    linear.take(carver);
    const bool is_float = element_of(packed) == Element::kF32;
    logits = carver.take<float>(is_float ? 0 : shape.batch * packed.out_channels);
  }
  float* means;
  FewPixels linear;
  ChannelMeans averaging;
  float* logits;  // if what is wanted is not float32
};

}  // namespace

std::size_t classification_head_workspace(const MapShape& shape, const PackedHeader& packed,
                                          int64_t threads) {
  Carver carver(nullptr);
  const Layout layout(shape, packed, threads, carver);
  return carver.used();
}

void classification_head(const MapShape& shape, const PackedHeader& packed, const void* input,
                         void* logits, void* workspace, const Parallel& parallel) {
  const int64_t in = packed.in_channels, out = packed.out_channels;
  const Element element = element_of(packed);
  Carver carver(workspace);
  const Layout layout(shape, packed, parallel.threads(), carver);
  layout.averaging.run(input, layout.means, parallel);

  float* const sums = element == Element::kF32 ? static_cast<float*>(logits) : layout.logits;
  Pointwise args;
  args.input = {layout.means, in};
  args.weights = packed_sections(packed);
  args.output = {sums, out};
  args.pixels = shape.batch;
  args.in_channels = in;
  args.out_channels = out;
  layout.linear.run(args, parallel);
  if (element != Element::kF32) {
    convert_kernel(element).narrow(sums, shape.batch * out, logits);
  }
}

namespace {

// Sections: pointwise(in, out).
class ClassificationHeadKind final : public BlockKind {
 public:
  Sections sections(const PackedHeader& w) const override {
    return Sections(w).pointwise(w.in_channels, w.out_channels);
  }
  MapSize output_size(const PackedHeader& w, const MapSize& input, const MapSize&) const override {
    return {{input.batch, 1, 1}, w.out_channels};
  }
  std::size_t workspace(const BlockCall& call, int64_t threads) const override {
    return classification_head_workspace(call.input, call.weights, threads);
  }
  void run(const BlockCall& call, const BlockArrays& arrays,
           const Parallel& parallel) const override {
    classification_head(call.input, call.weights, arrays.input, arrays.output, arrays.workspace,
                        parallel);
  }
};

}  // namespace

const BlockKind& classification_head_kind() {
  static constexpr ClassificationHeadKind kKind;
  return kKind;
}

}  // namespace seaformer
