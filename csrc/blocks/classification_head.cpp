#include "blocks/classification_head.h"

#include <algorithm>

#include "blocks/block_kind.h"
#include "blocks/over_channels.h"
#include "core/workspace.h"
#include "kernels/pointwise/variants.h"

namespace seaformer {
namespace {

// Means of every channel. Rows are summed first, which rounds less than one long sum.
void mean_pixel(const MapShape& shape, int64_t channels, const float* input, float* row,
                float* mean) {
  std::fill_n(mean, channels, 0.0f);
  for (int64_t y = 0; y < shape.height; ++y) {
    std::fill_n(row, channels, 0.0f);
    for (int64_t x = 0; x < shape.width; ++x, input += channels) {
      for (int64_t c = 0; c < channels; ++c) row[c] += input[c];
    }
    for (int64_t c = 0; c < channels; ++c) mean[c] += row[c];
  }
  const float pixels = static_cast<float>(shape.height * shape.width);
  for (int64_t c = 0; c < channels; ++c) mean[c] /= pixels;
}

WorkerScratch take_rows(const PackedHeader& packed, int64_t workers, Carver& carver) {
  return {workers, [&](Carver& own) { own.take<float>(packed.in_channels); }, carver};
}

}  // namespace

std::size_t classification_head_workspace(const MapShape& shape, const PackedHeader& packed,
                                          int64_t threads) {
  Carver carver(nullptr);
  carver.take<float>(shape.batch * packed.in_channels);
  take_rows(packed, threads, carver);
  return carver.used();
}

void classification_head(const MapShape& shape, const PackedHeader& packed, const float* input,
                         float* logits, void* workspace, const Parallel& parallel) {
  const int64_t in = packed.in_channels, out = packed.out_channels;
  Carver carver(workspace);
  float* const means = carver.take<float>(shape.batch * in);
  const int64_t averaging = std::min(shape.batch, parallel.threads());
  const WorkerScratch rows = take_rows(packed, averaging, carver);
  parallel.run(averaging, [&](int64_t worker) {
    Carver own = rows.of(worker);
    float* const row = own.take<float>(in);
    const int64_t end = shape.batch * (worker + 1) / averaging;
    for (int64_t image = shape.batch * worker / averaging; image < end; ++image) {
      mean_pixel(shape, in, input + image * shape.height * shape.width * in, row,
                 means + image * in);
    }
  });

  // Threads share the panels of the linear layer, as there is often one image only.
  const PointwiseKernel& linear = pointwise_kernel();
  over_channels(out, parallel, [&](int64_t first, int64_t count) {
    Pointwise args;
    args.input = {means, in};
    args.weights = packed_sections(packed) + packed_pointwise_offset(in, first);
    args.output = {logits + first, out};
    args.pixels = shape.batch;
    args.in_channels = in;
    args.out_channels = count;
    linear.run(args);
  });
}

namespace {

// Sections: pointwise(in, out).
class ClassificationHeadKind final : public BlockKind {
 public:
  int64_t section_floats(const PackedHeader& w) const override {
    return packed_pointwise_floats(w.in_channels, w.out_channels);
  }
  MapSize output_size(const PackedHeader& w, const MapSize& input) const override {
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
