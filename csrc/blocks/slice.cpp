// Some channels of a map, that lie side by side.
#include <cstring>

#include "blocks/block_kind.h"
#include "blocks/over_grains.h"
#include "core/pixels.h"
#include "core/require.h"

namespace seaformer {
namespace {

int32_t first_channel(const PackedHeader& packed) { return packed.hidden_channels; }

class SliceKind final : public BlockKind {
 public:
  Sections sections(const PackedHeader& w) const override { return Sections(w); }
  void check(const char* op, const PackedHeader& w) const override {
    require(first_channel(w) >= 0 && int64_t{first_channel(w)} + w.out_channels <= w.in_channels,
            op, ": expected packed weights of channels among ", w.in_channels, ", got ",
            w.out_channels, " from channel ", first_channel(w), " on");
  }
  std::size_t workspace(const BlockCall&, int64_t) const override { return 0; }
  void run(const BlockCall& call, const BlockArrays& arrays,
           const Parallel& parallel) const override {
    constexpr int64_t kGrain = 64;  // pixels
    const int64_t bytes = bytes_of(element_of(call.weights));
    const int64_t all = call.weights.in_channels * bytes, some = call.weights.out_channels * bytes;
    const void* const first = after(arrays.input, first_channel(call.weights) * bytes);
    over_grains(call.input.pixels(), kGrain, parallel, [&](int64_t, int64_t begin, int64_t count) {
      for (int64_t p = begin; p < begin + count; ++p) {
        std::memcpy(after(arrays.output, p * some), after(first, p * all),
                    static_cast<std::size_t>(some));
      }
    });
  }
};

}  // namespace

const BlockKind& slice_kind() {
  static constexpr SliceKind kKind;
  return kKind;
}

}  // namespace seaformer
