#include "blocks/depthwise.h"

#include <cstring>

#include "blocks/banded_filter.h"
#include "blocks/block_kind.h"
#include "blocks/input_rows.h"
#include "core/require.h"

namespace seaformer {
namespace {

// Copies what is filtered, which lies in the first-level cache.
class Copy final : public BandedFilter::Consumer {
 public:
  Copy(const PackedHeader& packed, void* output)
      : pixel_(packed.out_channels * bytes_of(element_of(packed))), output_(output) {}

  void finish(const BandedFilter::Chunk& chunk) const override {
    void* const to = after(output_, chunk.first * pixel_);
    for (int64_t i = 0; i < chunk.count; ++i) {
      std::memcpy(after(to, i * pixel_), after(chunk.filtered.data, i * chunk.filtered.stride),
                  static_cast<std::size_t>(pixel_));
    }
  }

 private:
  const int64_t pixel_;  // its bytes
  void* const output_;
};

}  // namespace

int64_t depthwise_out(const PackedHeader& packed, int64_t in) {
  return depthwise_axis(packed).out(in);
}

std::size_t depthwise_workspace(const MapShape& shape, const PackedHeader& packed,
                                int64_t threads) {
  Carver carver(nullptr);
  BandedFilter(shape, packed, threads, {}).take(carver);
  return carver.used();
}

void depthwise(const MapShape& shape, const PackedHeader& packed, const void* input, void* output,
               void* workspace, const Parallel& parallel) {
  BandedFilter filter(shape, packed, parallel.threads(), {});
  Carver carver(workspace);
  filter.take(carver);
  const InputRows rows(shape, packed, input);
  filter.prepare(rows, parallel);
  filter.run(rows, parallel, Copy(packed, output));
}

namespace {

// Sections: depthwise(channels).
class DepthwiseKind final : public BlockKind {
 public:
  Sections sections(const PackedHeader& w) const override {
    return Sections(w).depthwise(w.in_channels, w.kernel_size);
  }
  void check(const char* op, const PackedHeader& w) const override {
    require(w.kernel_size == 3 || w.kernel_size == 5 || w.kernel_size == 7, op,
            ": expected packed weights of kernel size 3, 5 or 7, got ", w.kernel_size);
    require(w.stride == 1 || w.stride == 2, op, ": expected packed weights of stride 1 or 2, got ",
            w.stride);
    check_activation(op, w.depthwise_activation);
    check_equal_channels(op, w);
    require((w.flags & ~kPackedPadsSame) == 0, op, ": expected packed weights with flags 0 or ",
            kPackedPadsSame, ", got ", w.flags);
  }
  MapSize output_size(const PackedHeader& w, const MapSize& input, const MapSize&) const override {
    return {{input.batch, depthwise_out(w, input.height), depthwise_out(w, input.width)},
            w.out_channels};
  }
  std::size_t workspace(const BlockCall& call, int64_t threads) const override {
    return depthwise_workspace(call.input, call.weights, threads);
  }
  void run(const BlockCall& call, const BlockArrays& arrays,
           const Parallel& parallel) const override {
    depthwise(call.input, call.weights, arrays.input, arrays.output, arrays.workspace, parallel);
  }
};

}  // namespace

const BlockKind& depthwise_kind() {
  static constexpr DepthwiseKind kKind;
  return kKind;
}

}  // namespace seaformer
