// Two maps as one: the channels of the first, then those of the second.
#include <cstring>

#include "blocks/block_kind.h"
#include "blocks/over_grains.h"
#include "blocks/two_maps.h"
#include "core/require.h"

namespace seaformer {
namespace {

void concat(const BlockCall& call, const BlockArrays& arrays, const Parallel& parallel) {
  constexpr int64_t kGrain = 64;  // pixels
  const int64_t bytes = bytes_of(element_of(call.weights));
  const int64_t one = call.weights.in_channels * bytes,
                other = call.weights.hidden_channels * bytes;
  over_grains(call.input.pixels(), kGrain, parallel, [&](int64_t, int64_t begin, int64_t count) {
    for (int64_t p = begin; p < begin + count; ++p) {
      void* const to = after(arrays.output, p * (one + other));
      std::memcpy(to, after(arrays.input, p * one), static_cast<std::size_t>(one));
      std::memcpy(after(to, one), after(arrays.coarse, p * other), static_cast<std::size_t>(other));
    }
  });
}

class ConcatKind final : public TwoMapsKind {
 public:
  void check(const char* op, const PackedHeader& w) const override {
    check_hidden_channels(op, w);
    require(w.out_channels == int64_t{w.in_channels} + w.hidden_channels, op,
            ": expected packed weights with as many output channels as both maps have, got ",
            w.out_channels, " of ", w.in_channels, " and ", w.hidden_channels);
  }
  void run(const BlockCall& call, const BlockArrays& arrays,
           const Parallel& parallel) const override {
    concat(call, arrays, parallel);
  }
};

}  // namespace

const BlockKind& concat_kind() {
  static constexpr ConcatKind kKind;
  return kKind;
}

}  // namespace seaformer
