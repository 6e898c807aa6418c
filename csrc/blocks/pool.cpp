// The greatest numbers or the means under a window that slides over a map, as torch.nn.MaxPool2d
// and AvgPool2d have them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "blocks/block_kind.h"
#include "blocks/over_grains.h"
#include "blocks/pixel_scratch.h"
#include "blocks/window.h"
#include "core/pixels.h"
#include "core/require.h"
#include "core/workspace.h"
#include "kernels/convert/variants.h"

namespace seaformer {
namespace {

bool averages(const PackedHeader& packed) { return (packed.flags & kPackedAverages) != 0; }
bool counts_padding(const PackedHeader& packed) {
  return (packed.flags & kPackedCountsPadding) != 0;
}

// NaN is greater than any number.
void gather_greatest(const float* pixel, int64_t channels, float* greatest) {
  for (int64_t c = 0; c < channels; ++c) {
    const float x = pixel[c];
    greatest[c] = x > greatest[c] || x != x ? x : greatest[c];
  }
}

void gather_sum(const float* pixel, int64_t channels, float* sum) {
  for (int64_t c = 0; c < channels; ++c) sum[c] += pixel[c];
}

void pool(const BlockCall& call, const BlockArrays& arrays, const Parallel& parallel) {
  const Element element = element_of(call.weights);
  const ConvertKernel& convert = convert_kernel(element);
  const Window window = window_of(call.weights);
  const MapSize& in = call.input;
  const MapShape out = window.out(in);
  const int64_t channels = in.channels;
  const int64_t top = window.rows.before(in.height), left = window.columns.before(in.width);
  const bool means = averages(call.weights), padding = counts_padding(call.weights);
  const float least = means ? 0.0f : -std::numeric_limits<float>::infinity();
  Carver carver(arrays.workspace);
  const WorkerScratch scratch = PixelScratch::of_workers(channels, parallel.threads(), carver);
  over_grains(
      out.batch * out.height, 1, parallel, [&](int64_t worker, int64_t begin, int64_t count) {
        Carver own = scratch.of(worker);
        const PixelScratch mine(channels, own);
        for (int64_t i = begin * out.width; i < (begin + count) * out.width; ++i) {
          const int64_t x0 = i % out.width * window.columns.stride - left;
          const int64_t y0 = i / out.width % out.height * window.rows.stride - top;
          const int64_t image = i / out.width / out.height;
          int64_t taps = 0;
          std::fill_n(mine.sum, channels, least);
          for (int64_t k = 0; k < window.taps(); ++k) {
            const int64_t y = y0 + k / window.columns.size * window.rows.dilation;
            const int64_t x = x0 + k % window.columns.size * window.columns.dilation;
            if (y < 0 || x < 0 || y >= in.height || x >= in.width) continue;
            ++taps;
            const void* const from =
                after(arrays.input, ((image * in.height + y) * in.width + x) * channels, element);
            (means ? gather_sum : gather_greatest)(mine.widened(from, element, convert, channels),
                                                   channels, mine.sum);
          }
          if (means) {
            const float share = static_cast<float>(padding ? window.taps() : taps);
            for (int64_t c = 0; c < channels; ++c) mine.sum[c] /= share;
          }
          convert.narrow(mine.sum, channels, after(arrays.output, i * channels, element));
        }
      });
}

class PoolKind final : public BlockKind {
 public:
  Sections sections(const PackedHeader& w) const override { return Sections(w); }
  void check(const char* op, const PackedHeader& w) const override {
    constexpr int32_t kFlags = kPackedPadsSame | kPackedAverages | kPackedCountsPadding;
    check_window(op, w);
    check_output_channels(op, w);
    require((w.flags & ~kFlags) == 0 && (averages(w) || !counts_padding(w)), op,
            ": expected packed weights with flags of a pool, got ", w.flags);
    const Window window = window_of(w);
    require(2 * window.rows.padding <= window.rows.reach() &&
                2 * window.columns.padding <= window.columns.reach(),
            op, ": expected packed weights with padding of at most half a window, got ",
            window.rows.padding, " and ", window.columns.padding);
    require(!averages(w) || window.rows.dilation == 1, op,
            ": expected packed weights that average without dilation, got ", window.rows.dilation);
  }
  MapSize output_size(const PackedHeader& w, const MapSize& input, const MapSize&) const override {
    return {window_of(w).out(input), w.out_channels};
  }
  std::size_t workspace(const BlockCall& call, int64_t threads) const override {
    Carver carver(nullptr);
    PixelScratch::of_workers(call.input.channels, threads, carver);
    return carver.used();
  }
  void run(const BlockCall& call, const BlockArrays& arrays,
           const Parallel& parallel) const override {
    pool(call, arrays, parallel);
  }
};

}  // namespace

const BlockKind& pool_kind() {
  static constexpr PoolKind kKind;
  return kKind;
}

}  // namespace seaformer
