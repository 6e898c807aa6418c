#include "blocks/sea_attention.h"

#include <algorithm>
#include <cmath>

#include "blocks/banded_filter.h"
#include "blocks/resize_axis.h"
#include "kernels/axial/variants.h"

namespace seaformer {
namespace {

// Keeping the map or not, share of the multiply-add peak on a Zen 4 core with AVX-512 (best of many
// runs) and instructions an ideal FMA on NEON (benchmarks/cpp/sea_attention.cpp):
//
//   floats of the map             kept           ring
//   64 K  (Tiny,  16x16)       89%  1.230     89%  1.265
//   48 K  (Base,  8x8)         94%  1.176     84%  1.266
//   128 K (Base,  16x16)       93%  1.186     85%  1.225
//   160 K (Large, 16x16)       92%  1.167     90%  1.210
//   512 K (Large, 32x32)       80%  1.182     82%  1.228
//
// The ring pays twice for the means, with products of H + W more positions, and wins where the map
// outgrows the second-level cache.
constexpr int64_t kPositions = 16;           // learned ones of an axis
constexpr int64_t kKeptFloats = 144 * 1024;  // a map up to this size is kept; 1 MB is too much

// What the header's numbers mean here.
struct Widths {
  explicit Widths(const PackedHeader& packed)
      : channels(packed.in_channels),
        all(packed.hidden_channels),
        keys(int64_t{packed.heads} * packed.key_dim),
        values(all - 2 * keys) {}
  int64_t channels;
  int64_t all;  // queries, keys and values
  int64_t keys, values;
};

struct Weights {
  Weights(const Widths& widths, const float* sections) {
    const auto next = [&](int64_t floats) {
      const float* here = sections;
      sections += floats;
      return here;
    };
    detail = next(packed_pointwise_floats(widths.all, widths.channels));
    row = next(packed_pointwise_floats(widths.values, widths.values));
    column = next(packed_pointwise_floats(widths.values, widths.values));
    project = next(packed_pointwise_floats(widths.values, widths.channels));
    for (const float*& p : position) p = next(kPositions * widths.keys);
  }
  const float *detail, *row, *column, *project;
  const float* position[4];  // of queries and keys of rows, then of columns: [kPositions][keys]
};

// Along each axis; the rows of all images come first, then the columns.
struct Squeezed {
  float* input;              // [positions][channels], unless the map is kept
  float* qkv;                // [positions][all]
  float* attended;           // [positions][values]
  float* projected;          // [positions][values]
  float* scratch;            // [workers][axial_scratch_floats]
  ResizeAxis rows, columns;  // where positions lie between the learned ones
};

bool keeps_map(const SeaAttentionShape& shape, const Widths& widths, SeaAttentionWay way) {
  if (way != SeaAttentionWay::kMeasuredBest) return way == SeaAttentionWay::kKeepMap;
  return shape.height * shape.width * widths.all <= kKeptFloats;
}

int64_t gate_stride(const Widths& widths) {
  const int64_t stride = widths.values + widths.channels;
  return stride % 64 == 0 ? stride + kPanel : stride;
}

// Channels that different threads can work on, a panel at least each.
template <class F>
void over_channels(int64_t channels, const Parallel& parallel, const F& f) {
  const int64_t all = panels(channels), tasks = std::min(all, parallel.threads());
  parallel.run(tasks, [&](int64_t task) {
    const int64_t begin = all * task / tasks * kPanel;
    f(begin, std::min(all * (task + 1) / tasks * kPanel, channels) - begin);
  });
}

class SeaAttention {
 public:
  SeaAttention(const SeaAttentionShape& shape, const PackedHeader& packed, int64_t threads,
               SeaAttentionWay way)
      : shape_(shape),
        packed_(packed),
        widths_(packed),
        keep_map_(keeps_map(shape, widths_, way)),
        filter_({shape.batch, shape.height, shape.width}, packed, threads, keep_map_,
                gate_stride(widths_)),
        weights_(widths_, filter_.next_sections()),
        workers_(std::min(threads, shape.batch * 2 * packed.heads)),
        axial_(axial_kernel()),
        pointwise_(pointwise_kernel()) {}

  void take(Carver& carver) {
    filter_.take(carver);
    const int64_t positions = shape_.batch * (shape_.height + shape_.width);
    squeezed_.input = carver.take<float>(keep_map_ ? 0 : positions * widths_.channels);
    squeezed_.qkv = carver.take<float>(positions * widths_.all);
    squeezed_.attended = carver.take<float>(positions * widths_.values);
    squeezed_.projected = carver.take<float>(positions * widths_.values);
    squeezed_.scratch = carver.take<float>(workers_ * scratch_floats());
    squeezed_.rows = make_resize_axis(kPositions, shape_.height, carver);
    squeezed_.columns = make_resize_axis(kPositions, shape_.width, carver);
  }

  void run(const float* input, float* output, const Parallel& parallel) const {
    filter_.expand(input, parallel);
    squeeze(input, parallel);
    for (int64_t image = 0; image < shape_.batch; ++image) {
      add_positions(squeezed_.rows, weights_.position[0], weights_.position[1],
                    squeezed_.qkv + row_position(image) * widths_.all);
      add_positions(squeezed_.columns, weights_.position[2], weights_.position[3],
                    squeezed_.qkv + column_position(image) * widths_.all);
    }
    attend(parallel);
    const Gate gate(*this, input, output);
    filter_.run(input, parallel, gate);
  }

 private:
  // Where the rows and columns of an image begin among all positions.
  int64_t row_position(int64_t image) const { return image * shape_.height; }
  int64_t column_position(int64_t image) const {
    return shape_.batch * shape_.height + image * shape_.width;
  }
  int64_t scratch_floats() const {
    return axial_scratch_floats(std::max(shape_.height, shape_.width), packed_.key_dim);
  }

  // Means of the rows and columns of queries, keys and values.
  void squeeze(const float* input, const Parallel& parallel) const {
    if (keep_map_) {
      return means([&](int64_t image, int64_t y) { return filter_.kept_row(image, y); },
                   filter_.pixel(), widths_.all, squeezed_.qkv, parallel);
    }
    const int64_t channels = widths_.channels;
    means([&](int64_t image,
              int64_t y) { return input + (image * shape_.height + y) * shape_.width * channels; },
          channels, channels, squeezed_.input, parallel);
    const int64_t positions = shape_.batch * (shape_.height + shape_.width);
    over_channels(widths_.all, parallel, [&](int64_t begin, int64_t count) {
      pointwise_.run({squeezed_.input, channels, packed_sections(packed_) + begin * (channels + 1),
                      squeezed_.qkv + begin, widths_.all, nullptr, 0, nullptr, 0, positions,
                      channels, count, Activation::kNone});
    });
  }

  // row_at gives a row of a map whose pixels are `stride` apart.
  template <class RowAt>
  void means(const RowAt& row_at, int64_t stride, int64_t channels, float* to,
             const Parallel& parallel) const {
    over_channels(channels, parallel, [&](int64_t begin, int64_t count) {
      const auto divide = [&](int64_t position, int64_t positions, int64_t by) {
        const float share = 1.0f / static_cast<float>(by);
        for (int64_t i = 0; i < positions; ++i) {
          float* sum = to + (position + i) * channels + begin;
          for (int64_t c = 0; c < count; ++c) sum[c] *= share;
        }
      };
      for (int64_t image = 0; image < shape_.batch; ++image) {
        const int64_t row = row_position(image), column = column_position(image);
        for (int64_t x = 0; x < shape_.width; ++x) {
          std::fill_n(to + (column + x) * channels + begin, count, 0.0f);
        }
        for (int64_t y = 0; y < shape_.height; ++y) {
          axial_.squeeze({row_at(image, y) + begin, stride, shape_.width, count,
                          to + (row + y) * channels + begin, to + column * channels + begin,
                          channels});
        }
        divide(row, shape_.height, shape_.width);
        divide(column, shape_.width, shape_.height);
      }
    });
  }

  // Adds learned positions, resized to the length of an axis, to its queries and keys.
  void add_positions(const ResizeAxis& axis, const float* queries, const float* keys,
                     float* qkv) const {
    for (int64_t r = 0; r < axis.run_count; ++r) {
      const ResizeRun& run = axis.runs[r];
      for (int64_t i = run.begin; i < run.end; ++i) {
        float* q = qkv + i * widths_.all;
        for (const float* learned : {queries, keys}) {
          const float *low = learned + run.low * widths_.keys,
                      *high = learned + run.high * widths_.keys;
          for (int64_t c = 0; c < widths_.keys; ++c) {
            q[c] += axis.low_weight[i] * low[c] + axis.high_weight[i] * high[c];
          }
          q += widths_.keys;
        }
      }
    }
  }

  void attend(const Parallel& parallel) const {
    const int64_t heads = packed_.heads, tasks = shape_.batch * 2 * heads;
    const int64_t value_dim = widths_.values / heads;
    parallel.run(workers_, [&](int64_t worker) {
      for (int64_t i = tasks * worker / workers_; i < tasks * (worker + 1) / workers_; ++i) {
        const int64_t image = i / heads / 2, head = i % heads;
        const bool rows = i / heads % 2 == 0;
        const int64_t first = rows ? row_position(image) : column_position(image);
        const float* q = squeezed_.qkv + first * widths_.all + head * packed_.key_dim;
        AxialAttend args{};
        args.q = q;
        args.k = q + widths_.keys;
        args.v = squeezed_.qkv + first * widths_.all + 2 * widths_.keys + head * value_dim;
        args.q_stride = args.k_stride = args.v_stride = widths_.all;
        args.output = squeezed_.attended + first * widths_.values + head * value_dim;
        args.output_stride = widths_.values;
        args.length = rows ? shape_.height : shape_.width;
        args.key_dim = packed_.key_dim;
        args.value_dim = value_dim;
        args.scale = 1.0f / std::sqrt(static_cast<float>(packed_.key_dim));
        args.scratch = squeezed_.scratch + worker * scratch_floats();
        axial_.attend(args);
      }
    });
    const int64_t values = widths_.values;
    const int64_t all_rows = shape_.batch * shape_.height,
                  all_columns = shape_.batch * shape_.width;
    float* attended = squeezed_.attended;
    for (int64_t i = 0; i < (all_rows + all_columns) * values; ++i) {
      const float x = attended[i];
      attended[i] = x < 0.0f ? 0.0f : x > 6.0f ? 6.0f : x;
    }
    over_channels(values, parallel, [&](int64_t begin, int64_t count) {
      const auto project = [&](const float* weights, int64_t first, int64_t positions) {
        pointwise_.run({attended + first * values, values, weights + begin * (values + 1),
                        squeezed_.projected + first * values + begin, values, nullptr, 0, nullptr,
                        0, positions, values, count, Activation::kNone});
      };
      project(weights_.row, 0, all_rows);
      project(weights_.column, all_rows, all_columns);
    });
  }

  // The gated detail: h_sigmoid(project(relu6(v + row + column))) * detail, plus the input.
  class Gate final : public BandedFilter::Consumer {
   public:
    Gate(const SeaAttention& block, const float* input, float* output)
        : block_(block), input_(input), output_(output) {}

    void filtered(const BandedFilter::Pixels& pixels) const override {
      const Widths& widths = block_.widths_;
      const float* projected = block_.squeezed_.projected;
      block_.axial_.combine(
          {pixels.expanded + 2 * widths.keys, pixels.stride,
           projected + (block_.row_position(pixels.image) + pixels.y) * widths.values,
           projected + (block_.column_position(pixels.image) + pixels.x) * widths.values,
           pixels.extra, gate_stride(widths), pixels.count, widths.values});
    }

    void finish(const float* pixels, int64_t stride, float* extra, int64_t first,
                int64_t count) const override {
      const Widths& widths = block_.widths_;
      const int64_t channels = widths.channels, extra_stride = gate_stride(widths);
      float* detail = extra + widths.values;
      block_.pointwise_.run({pixels, stride, block_.weights_.detail, detail, extra_stride, nullptr,
                             0, nullptr, 0, count, widths.all, channels, Activation::kNone});
      block_.pointwise_.run({extra, extra_stride, block_.weights_.project,
                             output_ + first * channels, channels, detail, extra_stride,
                             block_.shape_.residual ? input_ + first * channels : nullptr, channels,
                             count, widths.values, channels, Activation::kHardSigmoid});
    }

   private:
    const SeaAttention& block_;
    const float* input_;
    float* output_;
  };

  SeaAttentionShape shape_;
  const PackedHeader& packed_;
  Widths widths_;
  bool keep_map_;
  BandedFilter filter_;
  Weights weights_;
  int64_t workers_;
  Squeezed squeezed_{};
  const AxialKernel& axial_;
  const PointwiseKernel& pointwise_;
};

}  // namespace

std::size_t sea_attention_workspace(const SeaAttentionShape& shape, const PackedHeader& packed,
                                    int64_t threads, SeaAttentionWay way) {
  Carver carver(nullptr);
  SeaAttention(shape, packed, threads, way).take(carver);
  return carver.used();
}

void sea_attention(const SeaAttentionShape& shape, const PackedHeader& packed, const float* input,
                   float* output, void* workspace, const Parallel& parallel, SeaAttentionWay way) {
  SeaAttention block(shape, packed, parallel.threads(), way);
  Carver carver(workspace);
  block.take(carver);
  block.run(input, output, parallel);
}

}  // namespace seaformer
