// The mean of a map, a map of one pixel.
#include "blocks/block_kind.h"
#include "blocks/channel_means.h"
#include "core/workspace.h"
#include "kernels/convert/variants.h"

namespace seaformer {
namespace {

struct Layout {
  Layout(const BlockCall& call, int64_t threads, Carver& carver)
      : means(call.input, call.weights.in_channels, element_of(call.weights), threads, carver),
        floats(carver.take<float>(element_of(call.weights) == Element::kF32
                                      ? 0
                                      : call.input.batch * call.weights.in_channels)) {}
  ChannelMeans means;
  float* floats;  // if what is wanted is not float32
};

class GlobalPoolKind final : public BlockKind {
 public:
  Sections sections(const PackedHeader& w) const override { return Sections(w); }
  void check(const char* op, const PackedHeader& w) const override { check_output_channels(op, w); }
  MapSize output_size(const PackedHeader& w, const MapSize& input, const MapSize&) const override {
    return {{input.batch, 1, 1}, w.out_channels};
  }
  std::size_t workspace(const BlockCall& call, int64_t threads) const override {
    Carver carver(nullptr);
    const Layout layout(call, threads, carver);
    return carver.used();
  }
  void run(const BlockCall& call, const BlockArrays& arrays,
           const Parallel& parallel) const override {
    Carver carver(arrays.workspace);
    const Layout layout(call, parallel.threads(), carver);
    const Element element = element_of(call.weights);
    const bool is_float = element == Element::kF32;
    float* const means = is_float ? static_cast<float*>(arrays.output) : layout.floats;
    layout.means.run(arrays.input, means, parallel);
    if (!is_float) {
      convert_kernel(element).narrow(means, call.input.batch * call.weights.in_channels,
                                     arrays.output);
    }
  }
};

}  // namespace

const BlockKind& global_pool_kind() {
  static constexpr GlobalPoolKind kKind;
  return kKind;
}

}  // namespace seaformer
