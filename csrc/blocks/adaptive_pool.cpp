// The means of a map's parts, as torch.nn.functional.adaptive_avg_pool2d has them: as many as a
// second map has pixels, of which nothing else is read, divided by a stride and rounded up.
#include <algorithm>

#include "blocks/block_kind.h"
#include "blocks/over_grains.h"
#include "blocks/pixel_scratch.h"
#include "core/pixels.h"
#include "core/require.h"
#include "core/workspace.h"
#include "kernels/convert/variants.h"

namespace seaformer {
namespace {

constexpr int32_t kMostStride = 16;

// Where part i of `parts` of an axis begins and ends; parts may have pixels in common.
struct Part {
  Part(int64_t i, int64_t parts, int64_t length)
      : begin(i * length / parts), end(((i + 1) * length + parts - 1) / parts) {}
  int64_t begin, end;
};

void pool(const BlockCall& call, const MapSize& out, const BlockArrays& arrays,
          const Parallel& parallel) {
  const Element element = element_of(call.weights);
  const ConvertKernel& convert = convert_kernel(element);
  const MapSize& in = call.input;
  const int64_t channels = in.channels;
  Carver carver(arrays.workspace);
  const WorkerScratch scratch = PixelScratch::of_workers(channels, parallel.threads(), carver);
  over_grains(out.pixels(), 1, parallel, [&](int64_t worker, int64_t begin, int64_t count) {
    Carver own = scratch.of(worker);
    const PixelScratch mine(channels, own);
    for (int64_t i = begin; i < begin + count; ++i) {
      const int64_t image = i / out.width / out.height;
      const Part rows(i / out.width % out.height, out.height, in.height);
      const Part columns(i % out.width, out.width, in.width);
      std::fill_n(mine.sum, channels, 0.0f);
      for (int64_t y = rows.begin; y < rows.end; ++y) {
        for (int64_t x = columns.begin; x < columns.end; ++x) {
          const void* const from =
              after(arrays.input, ((image * in.height + y) * in.width + x) * channels, element);
          const float* const pixel = mine.widened(from, element, convert, channels);
          for (int64_t c = 0; c < channels; ++c) mine.sum[c] += pixel[c];
        }
      }
      const auto pixels =
          static_cast<float>((rows.end - rows.begin) * (columns.end - columns.begin));
      for (int64_t c = 0; c < channels; ++c) mine.sum[c] /= pixels;
      convert.narrow(mine.sum, channels, after(arrays.output, i * channels, element));
    }
  });
}

class AdaptivePoolKind final : public BlockKind {
 public:
  Sections sections(const PackedHeader& w) const override { return Sections(w); }
  void check(const char* op, const PackedHeader& w) const override {
    check_output_channels(op, w);
    check_hidden_channels(op, w);
    require(w.stride >= 1 && w.stride <= kMostStride, op,
            ": expected packed weights with a stride of 1 to ", kMostStride, ", got ", w.stride);
  }
  int maps() const override { return 2; }
  bool reads_size_only(int k) const override { return k == 1; }
  bool fits(const PackedHeader&, const MapSize& input, const MapSize& coarse) const override {
    return input.batch == coarse.batch;
  }
  MapSize output_size(const PackedHeader& w, const MapSize& input,
                      const MapSize& coarse) const override {
    return {{input.batch, (coarse.height + w.stride - 1) / w.stride,
             (coarse.width + w.stride - 1) / w.stride},
            w.out_channels};
  }
  std::size_t workspace(const BlockCall& call, int64_t threads) const override {
    Carver carver(nullptr);
    PixelScratch::of_workers(call.input.channels, threads, carver);
    return carver.used();
  }
  void run(const BlockCall& call, const BlockArrays& arrays,
           const Parallel& parallel) const override {
    pool(call, output_size(call.weights, call.input, call.coarse), arrays, parallel);
  }
};

}  // namespace

const BlockKind& adaptive_pool_kind() {
  static constexpr AdaptivePoolKind kKind;
  return kKind;
}

}  // namespace seaformer
