#include "blocks/sea_attention.h"

#include <algorithm>
#include <cmath>

#include "blocks/axial_heads.h"
#include "blocks/axial_mean.h"
#include "blocks/banded_filter.h"
#include "blocks/block_kind.h"
#include "blocks/few_pixels.h"
#include "blocks/input_rows.h"
#include "blocks/quantized_sea_attention.h"
#include "blocks/resize_axis.h"
#include "blocks/sea_attention_shape.h"
#include "blocks/section_reader.h"
#include "core/require.h"
#include "kernels/axial/variants.h"
#include "kernels/depthwise/variants.h"
#include "kernels/pointwise/variants.h"

namespace seaformer {
namespace {

// Keeping the map or not, share of the multiply-add peak on a Zen 4 core with AVX-512 (best of many
// runs) and instructions an ideal FMA on NEON (benchmarks/cpp/sea_attention.cpp):
//
//   floats of the map             kept           ring
//   64 K  (Tiny,  16x16)       89%  1.182     89%  1.225
//   48 K  (Base,  8x8)         94%  1.147     84%  1.241
//   128 K (Base,  16x16)       93%  1.151     85%  1.196
//   160 K (Large, 16x16)       92%  1.140     90%  1.187      the largest that takes up to 1 MB
//   512 K (Large, 32x32)       80%  1.148     82%  1.200
//
// The ring pays twice for the means, with products of H + W more positions, and wins where the map
// outgrows the second-level cache.
constexpr int64_t kKeptBytes = 640 * 1024;  // a map up to this size is kept

using Widths = SeaAttentionWidths;

struct Weights {
  Weights(const Widths& widths, SectionReader sections) {
    detail = sections.pointwise(widths.all, widths.channels);
    row = sections.pointwise(widths.values, widths.values);
    column = sections.pointwise(widths.values, widths.values);
    project = sections.pointwise(widths.values, widths.channels);
    for (const float*& p : position) p = sections.array(kPositions * widths.keys);
  }
  const void *detail, *row, *column, *project;
  const float* position[4];  // of queries and keys of rows, then of columns: [kPositions][keys]
};

// Along each axis; the rows of all images come first, then the columns.
struct Squeezed {
  float* input;              // [positions][channels], unless the map is kept
  float* attended;           // [positions][values]
  float* projected;          // [positions][values]
  ResizeAxis rows, columns;  // where positions lie between the learned ones
};

bool keeps_map(const MapShape& shape, const Widths& widths, Element element, SeaAttentionWay way) {
  if (way != SeaAttentionWay::kMeasuredBest) return way == SeaAttentionWay::kKeepMap;
  return shape.height * shape.width * widths.all * bytes_of(element) <= kKeptBytes;
}

int64_t gate_stride(const Widths& widths, Element element) {
  return spread_pixels(widths.values + widths.channels, element);
}

BandedFilter::Options filter_options(const Widths& widths, Element element, bool keep_map) {
  BandedFilter::Options options;
  options.keep_map = keep_map;
  options.extra = gate_stride(widths, element);
  return options;
}

class SeaAttention {
 public:
  SeaAttention(const MapShape& shape, const PackedHeader& packed, int64_t threads,
               SeaAttentionWay way)
      : shape_(shape),
        packed_(packed),
        element_(element_of(packed)),
        widths_(packed),
        keep_map_(keeps_map(shape, widths_, element_, way)),
        filter_(shape, packed, threads, filter_options(widths_, element_, keep_map_)),
        weights_(widths_, SectionReader(filter_.next_sections(), element_)),
        heads_(heads_shape(shape, packed), threads),
        means_(element_, std::max(widths_.channels, widths_.values), threads),
        axial_(axial_kernel(element_)),
        pointwise_(pointwise_kernel(element_)) {}

  void take(Carver& carver) {
    filter_.take(carver);
    heads_.take(carver);
    means_.take(carver);
    const int64_t positions = heads_.positions();
    squeezed_.input = carver.take<float>(keep_map_ ? 0 : positions * widths_.channels);
    squeezed_.attended = carver.take<float>(positions * widths_.values);
    squeezed_.projected = heads_.rows();  // of no more use then
    squeezed_.rows = make_resize_axis(kPositions, shape_.height, carver);
    squeezed_.columns = make_resize_axis(kPositions, shape_.width, carver);
  }

  void run(bool residual, const void* input, void* output, const Parallel& parallel) const {
    const InputRows rows(shape_, packed_, input);
    filter_.prepare(rows, parallel);
    squeeze(input, parallel);
    const auto add_positions = [&](const ResizeAxis& axis, int64_t length,
                                   const float* const* learned, float* queries) {
      heads_.add_positions(axis, length, learned[0], queries);
      heads_.add_positions(axis, length, learned[1], queries + widths_.keys);
    };
    add_positions(squeezed_.rows, shape_.height, weights_.position, heads_.rows());
    add_positions(squeezed_.columns, shape_.width, weights_.position + 2, heads_.columns());
    attend(parallel);
    const Gate gate(*this, residual ? input : nullptr, output);
    filter_.run(rows, parallel, gate);
  }

 private:
  // Where the rows and columns of an image begin among all positions.
  int64_t row_position(int64_t image) const { return image * shape_.height; }
  int64_t column_position(int64_t image) const {
    return row_position(shape_.batch) + image * shape_.width;
  }

  // Means of the rows and columns of queries, keys and values.
  void squeeze(const void* input, const Parallel& parallel) const {
    if (keep_map_) {
      axial_mean(filter_.kept_maps(), heads_.rows(), heads_.columns(), widths_.all, parallel);
      return;
    }
    const int64_t channels = widths_.channels;
    axial_mean(dense_maps(input, shape_, channels, element_), squeezed_.input,
               squeezed_.input + column_position(0) * channels, channels, parallel);
    Pointwise args;
    args.input = {squeezed_.input, channels};
    args.weights = packed_sections(packed_);
    args.output = {heads_.rows(), widths_.all};
    args.pixels = heads_.positions();
    args.in_channels = channels;
    args.out_channels = widths_.all;
    means_.run(args, parallel);
  }

  void attend(const Parallel& parallel) const {
    const int64_t values = widths_.values;
    const int64_t all_rows = shape_.batch * shape_.height,
                  all_columns = shape_.batch * shape_.width;
    float* attended = squeezed_.attended;
    heads_.attend(attended, attended + all_rows * values, parallel);
    const auto project = [&](const void* weights, int64_t first, int64_t positions) {
      Pointwise args;
      args.input = {attended + first * values, values};
      args.weights = weights;
      args.output = {squeezed_.projected + first * values, values};
      args.pixels = positions;
      args.in_channels = values;
      args.out_channels = values;
      means_.run(args, parallel);
    };
    project(weights_.row, 0, all_rows);
    project(weights_.column, all_rows, all_columns);
  }

  // The gated detail: h_sigmoid(project(relu6(v + row + column))) * detail, plus the input.
  class Gate final : public BandedFilter::Consumer {
   public:
    Gate(const SeaAttention& block, const void* residual, void* output)
        : block_(block), residual_(residual), output_(output) {}

    void filtered(const BandedFilter::Pixels& pixels) const override {
      const Widths& widths = block_.widths_;
      const float* projected = block_.squeezed_.projected;
      const int64_t row = block_.row_position(pixels.image) + pixels.y;
      const int64_t column = block_.column_position(pixels.image) + pixels.x;
      AxialCombine args;
      args.v = pixels.unfiltered;
      args.v.data = after(args.v.data, 2 * widths.keys, block_.element_);
      args.row = projected + row * widths.values;
      args.column = projected + column * widths.values;
      args.output = pixels.extra;
      args.width = pixels.count;
      args.channels = widths.values;
      block_.axial_.combine(args);
    }

    void finish(const BandedFilter::Chunk& chunk) const override {
      const Widths& widths = block_.widths_;
      const Element element = block_.element_;
      const int64_t channels = widths.channels, first = chunk.first * channels;
      const int64_t extra_stride = gate_stride(widths, element);
      void* const detail_pixels = after(chunk.extra.data, widths.values, element);
      Pointwise detail;
      detail.input = chunk.filtered;
      detail.weights = block_.weights_.detail;
      detail.output = {detail_pixels, extra_stride, element};
      detail.pixels = chunk.count;
      detail.in_channels = widths.all;
      detail.out_channels = channels;
      block_.pointwise_.run(detail);

      Pointwise gate;
      gate.input = {chunk.extra.data, extra_stride, element};
      gate.weights = block_.weights_.project;
      gate.output = {after(output_, first, element), channels, element};
      gate.multiplier = {detail_pixels, extra_stride, element};
      if (residual_ != nullptr) {
        gate.residual = {after(residual_, first, element), channels, element};
      }
      gate.pixels = chunk.count;
      gate.in_channels = widths.values;
      gate.out_channels = channels;
      gate.activation = Activation::kHardSigmoid;
      block_.pointwise_.run(gate);
    }

   private:
    const SeaAttention& block_;
    const void* residual_;  // or null
    void* output_;
  };

  MapShape shape_;
  const PackedHeader& packed_;
  Element element_;
  Widths widths_;
  bool keep_map_;
  BandedFilter filter_;
  Weights weights_;
  AxialHeads heads_;
  FewPixels means_;
  Squeezed squeezed_{};
  const AxialKernel& axial_;
  const PointwiseKernel& pointwise_;
};

}  // namespace

std::size_t sea_attention_workspace(const MapShape& shape, const PackedHeader& packed,
                                    int64_t threads, SeaAttentionWay way) {
  if (is_int8(packed)) return quantized_sea_attention_workspace(shape, packed, threads);
  Carver carver(nullptr);
  SeaAttention(shape, packed, threads, way).take(carver);
  return carver.used();
}

void sea_attention(const MapShape& shape, const PackedHeader& packed, bool residual,
                   const void* input, void* output, void* workspace, const Parallel& parallel,
                   SeaAttentionWay way) {
  if (is_int8(packed)) {
    return quantized_sea_attention(shape, packed, residual, input, output, workspace, parallel);
  }
  SeaAttention block(shape, packed, parallel.threads(), way);
  Carver carver(workspace);
  block.take(carver);
  block.run(residual, input, output, parallel);
}

namespace {

// Sections: of int8 its numbers; pointwise(in, hidden), depthwise(hidden), pointwise(hidden, in),
// pointwise(values, values) of rows and of columns, pointwise(values, in), an array of 16 positions
// of keys floats four times: queries and keys of rows, then of columns. keys = heads * key_dim,
// values = hidden - 2 * keys.
class SeaAttentionKind final : public BlockKind {
 public:
  Sections sections(const PackedHeader& w) const override {
    const int64_t in = w.in_channels, hidden = w.hidden_channels;
    const int64_t keys = int64_t{w.heads} * w.key_dim, values = hidden - 2 * keys;
    Sections sections(w);
    sections.quantized_numbers();
    sections.pointwise(in, hidden).depthwise(hidden, 3).pointwise(hidden, in);
    sections.pointwise(values, values).pointwise(values, values).pointwise(values, in);
    for (int i = 0; i < 4; ++i) sections.array(kPositions * keys);
    return sections;
  }
  void check(const char* op, const PackedHeader& w) const override {
    check_hidden_channels(op, w);
    require(w.out_channels == w.in_channels && w.kernel_size == 3 && w.stride == 1 &&
                w.flags == kPackedExpands && w.expand_activation == 0 &&
                w.depthwise_activation == static_cast<int32_t>(Activation::kRelu6),
            op,
            ": expected packed weights of a 3x3 convolution with ReLU6 to as many channels, got ",
            w.in_channels, " to ", w.out_channels, " by ", w.kernel_size, "x", w.kernel_size);
    const int64_t keys = int64_t{w.heads} * w.key_dim;
    require(w.heads > 0 && w.key_dim > 0 && w.hidden_channels > 2 * keys &&
                (w.hidden_channels - 2 * keys) % w.heads == 0,
            op, ": expected packed weights whose heads divide queries, keys and values, got ",
            w.heads, " heads of ", w.key_dim, " keys among ", w.hidden_channels, " channels");
  }
  bool has_int8() const override { return true; }
  bool may_add_input(const PackedHeader&) const override { return true; }
  std::size_t workspace(const BlockCall& call, int64_t threads) const override {
    return sea_attention_workspace(call.input, call.weights, threads);
  }
  void run(const BlockCall& call, const BlockArrays& arrays,
           const Parallel& parallel) const override {
    sea_attention(call.input, call.weights, call.residual, arrays.input, arrays.output,
                  arrays.workspace, parallel);
  }
};

}  // namespace

const BlockKind& sea_attention_kind() {
  static constexpr SeaAttentionKind kKind;
  return kKind;
}

}  // namespace seaformer
