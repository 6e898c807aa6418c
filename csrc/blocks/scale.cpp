// A map times a factor for every channel of an image: the second map, which has one pixel.
#include <algorithm>
#include <cstring>

#include "blocks/block_kind.h"
#include "blocks/over_grains.h"
#include "blocks/two_maps.h"
#include "kernels/bilinear/variants.h"

namespace seaformer {
namespace {

// The factors are a coarse map of one pixel, which a resize makes a pixel of any column of: half of
// it and half of it again, as an infinity times nothing would be no number.
constexpr int64_t kColumns = 56;
constexpr float kHalves[kColumns + kWeightPadding] = {
    .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f,
    .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f,
    .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f,
    .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f};

void scale(const BlockCall& call, const BlockArrays& arrays, const Parallel& parallel) {
  const Element element = element_of(call.weights);
  const BilinearKernel& kernel = bilinear_kernel(element);
  const int64_t channels = call.weights.in_channels, width = call.input.width;
  const int64_t height = call.input.height;
  over_grains(call.input.batch * height, 1, parallel, [&](int64_t, int64_t begin, int64_t count) {
    for (int64_t row = begin; row < begin + count; ++row) {
      for (int64_t x = 0; x < width; x += kColumns) {
        const int64_t first = (row * width + x) * channels;
        const ResizeRun run{0, 0, 0, std::min(kColumns, width - x)};
        BilinearMultiply args;
        args.row = after(arrays.coarse, row / height * channels, element);
        args.runs = &run;
        args.low_weight = args.high_weight = kHalves;
        args.end = run.end;
        args.output = {after(arrays.output, first, element), channels, element};
        args.channels = channels;
        std::memcpy(args.output.data, after(arrays.input, first, element),
                    static_cast<std::size_t>(run.end * channels * bytes_of(element)));
        kernel.multiply(args);
      }
    }
  });
}

class ScaleKind final : public TwoMapsKind {
 public:
  void check(const char* op, const PackedHeader& w) const override { check_equal_channels(op, w); }
  bool fits(const PackedHeader&, const MapSize& input, const MapSize& coarse) const override {
    return same_shape({input.batch, 1, 1}, coarse);
  }
  void run(const BlockCall& call, const BlockArrays& arrays,
           const Parallel& parallel) const override {
    scale(call, arrays, parallel);
  }
};

}  // namespace

const BlockKind& scale_kind() {
  static constexpr ScaleKind kKind;
  return kKind;
}

}  // namespace seaformer
