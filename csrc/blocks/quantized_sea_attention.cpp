#include "blocks/quantized_sea_attention.h"

#include <algorithm>

#include "blocks/axial_heads.h"
#include "blocks/axial_mean.h"
#include "blocks/banded_filter.h"
#include "blocks/over_grains.h"
#include "blocks/prepared_pointwise.h"
#include "blocks/quantized_rows.h"
#include "blocks/requantize_sums.h"
#include "blocks/resize_axis.h"
#include "blocks/sea_attention_shape.h"
#include "blocks/section_reader.h"
#include "kernels/int8_gate/variants.h"

namespace seaformer {
namespace {

// What packed weights hold: see sea_attention.cpp for the sections.
struct Weights {
  explicit Weights(const PackedHeader& packed) {
    const SeaAttentionWidths widths(packed);
    SectionReader sections(packed);
    const QuantizedNumbers& numbers = sections.quantized_numbers();
    residual = numbers.input_scale / numbers.output_scale;
    all_scale = numbers.inner[0];
    attended_scale = numbers.inner[1];
    gate_scale = numbers.inner[2];
    sections.pointwise(widths.channels, widths.all);
    depthwise = sections.depthwise(widths.all, packed.kernel_size);
    detail = sections.pointwise(widths.all, widths.channels);
    row = sections.pointwise(widths.values, widths.values);
    column = sections.pointwise(widths.values, widths.values);
    project = sections.pointwise(widths.values, widths.channels);
    for (const float*& p : position) p = sections.array(kPositions * widths.keys);
  }
  // Of queries, keys and values; of attention's output; of what the gate's convolution reads. The
  // last two are behind a ReLU6. Row and column come out in units of the last, detail in sixths of
  // the output's.
  float all_scale, attended_scale, gate_scale;
  float residual;  // units of the output in one of the input
  const void *depthwise, *detail, *row, *column, *project;
  const float* position[4];  // of queries and keys of rows, then of columns: [kPositions][keys]
};

// Of each filtered pixel, what makes a pixel of the output; offsets count bytes.
struct PixelScratch {
  explicit PixelScratch(const SeaAttentionWidths& widths) {
    gate = take(widths.channels * kFloat);
    detail = take(widths.channels * kFloat);
    filtered = take(widths.all);
    values = take(widths.values);
  }
  int64_t floats() const { return bytes / kFloat; }

  static constexpr int64_t kFloat = sizeof(float);
  int64_t gate, detail;      // float32
  int64_t filtered, values;  // int8
  int64_t bytes = 0;

 private:
  int64_t take(int64_t count) {
    const int64_t at = bytes;
    bytes += (count + kFloat - 1) / kFloat * kFloat;
    return at;
  }
};

BandedFilter::Options filter_options(const SeaAttentionWidths& widths) {
  BandedFilter::Options options;
  options.keep_map = true;  // means are of the very numbers that are filtered
  options.extra = PixelScratch(widths).floats();
  return options;
}

class SeaAttention {
 public:
  SeaAttention(const MapShape& shape, const PackedHeader& packed, int64_t threads)
      : shape_(shape),
        packed_(packed),
        widths_(packed),
        scratch_(widths_),
        weights_(packed),
        filter_(shape, packed, threads, filter_options(widths_)),
        heads_(heads_shape(shape, packed), threads),
        pointwise_(int8_pointwise_kernel()),
        convert_(int8_convert_kernel()),
        gate_(int8_gate_kernel()) {}

  void take(Carver& carver) {
    filter_.take(carver);
    heads_.take(carver);
    const int64_t positions = heads_.positions();
    attended_ = carver.take<float>(positions * widths_.values);
    quantized_ = carver.take<int8_t>(positions * widths_.values);
    projected_ = heads_.rows();  // of no more use then
    rows_ = make_resize_axis(kPositions, shape_.height, carver);
    columns_ = make_resize_axis(kPositions, shape_.width, carver);
    expand_ = QuantizedRows::expansion(packed_, carver);
    const auto convolution = [&](int64_t in, int64_t out, const void* weights) {
      return PreparedPointwise(in, out, weights, carver);
    };
    detail_ = convolution(widths_.all, widths_.channels, weights_.detail);
    row_ = convolution(widths_.values, widths_.values, weights_.row);
    column_ = convolution(widths_.values, widths_.values, weights_.column);
    project_ = convolution(widths_.values, widths_.channels, weights_.project);
  }

  void run(bool residual, const void* input, void* output, const Parallel& parallel) const {
    for (const auto& convolution : {expand_, detail_, row_, column_, project_}) {
      convolution.prepare();
    }
    const QuantizedRows rows(shape_, packed_, expand_, input);
    filter_.prepare(rows, parallel);
    squeeze(parallel);
    const auto add_positions = [&](const ResizeAxis& axis, int64_t length,
                                   const float* const* learned, float* queries) {
      heads_.add_positions(axis, length, learned[0], queries);
      heads_.add_positions(axis, length, learned[1], queries + widths_.keys);
    };
    add_positions(rows_, shape_.height, weights_.position, heads_.rows());
    add_positions(columns_, shape_.width, weights_.position + 2, heads_.columns());
    attend(parallel);
    filter_.run(rows, parallel, Consumer(*this, residual ? input : nullptr, output));
  }

 private:
  // Where the rows and columns of an image begin among all positions.
  int64_t row_position(int64_t image) const { return image * shape_.height; }
  int64_t column_position(int64_t image) const {
    return row_position(shape_.batch) + image * shape_.width;
  }

  // Means of the rows and columns of queries, keys and values.
  void squeeze(const Parallel& parallel) const {
    axial_mean(filter_.kept_maps(), heads_.rows(), heads_.columns(), widths_.all, parallel);
    float* const means = heads_.rows();
    for (int64_t i = 0; i < heads_.positions() * widths_.all; ++i) means[i] *= weights_.all_scale;
  }

  void attend(const Parallel& parallel) const {
    const int64_t values = widths_.values;
    const int64_t all_rows = shape_.batch * shape_.height,
                  all_columns = shape_.batch * shape_.width;
    heads_.attend(attended_, attended_ + all_rows * values, parallel);
    const auto project = [&](const PreparedPointwise& weights, int64_t first, int64_t positions) {
      constexpr int64_t kGrain = 8;  // positions that are worth a thread
      over_grains(positions, kGrain, parallel, [&](int64_t, int64_t begin, int64_t count) {
        const int64_t at = (first + begin) * values;
        convert_.quantize(attended_ + at, count * values, 1.0f / weights_.attended_scale,
                          kLeastQuantized, quantized_ + at);
        Int8Pointwise args = weights.call();
        args.input = {quantized_ + at, values};
        args.output = {projected_ + at, values};
        args.form = Int8Output::kFloat;
        args.pixels = count;
        pointwise_.run(args);
      });
    };
    project(row_, 0, all_rows);
    project(column_, all_rows, all_columns);
  }

  // The gated detail: h_sigmoid(project(relu6(v + row + column))) * detail, plus the input.
  class Consumer final : public BandedFilter::Consumer {
   public:
    Consumer(const SeaAttention& block, const void* residual, void* output)
        : block_(block), residual_(residual), output_(output) {}

    void filtered(const BandedFilter::Pixels& pixels) const override {
      const SeaAttentionWidths& widths = block_.widths_;
      const int64_t row = block_.row_position(pixels.image) + pixels.y;
      const int64_t column = block_.column_position(pixels.image) + pixels.x;
      Int8Combine args;
      args.v = pixels.unfiltered;
      args.v.data = after(args.v.data, 2 * widths.keys, Element::kF32);
      args.scale = block_.weights_.all_scale / block_.weights_.gate_scale;
      args.row = block_.projected_ + row * widths.values;
      args.column = block_.projected_ + column * widths.values;
      args.output = pixels.extra;
      args.output.data = after(pixels.extra.data, block_.scratch_.values);
      args.zero = kLeastQuantized;
      args.width = pixels.count;
      args.channels = widths.values;
      block_.gate_.combine(args);
    }

    void finish(const BandedFilter::Chunk& chunk) const override {
      const SeaAttentionWidths& widths = block_.widths_;
      const PixelScratch& scratch = block_.scratch_;
      const auto part = [&](int64_t offset) {
        OutPixels pixels = chunk.extra;
        pixels.data = after(pixels.data, offset);
        return pixels;
      };
      requantize_sums(block_.convert_, block_.packed_, block_.weights_.depthwise, chunk,
                      part(scratch.filtered));
      convolve(block_.detail_, part(scratch.filtered), chunk.count, part(scratch.detail));
      convolve(block_.project_, part(scratch.values), chunk.count, part(scratch.gate));

      const int64_t channels = widths.channels, first = chunk.first * channels;
      Int8Gate args;
      args.gate = read(part(scratch.gate));
      args.detail = read(part(scratch.detail));
      if (residual_ != nullptr) {
        args.residual = {after(residual_, first, Element::kI8), channels, Element::kI8};
        args.ratio = block_.weights_.residual;
      }
      args.output = {after(output_, first, Element::kI8), channels, Element::kI8};
      args.pixels = chunk.count;
      args.channels = channels;
      block_.gate_.gate(args);
    }

   private:
    static InPixels read(const OutPixels& pixels) {
      InPixels same;
      same.data = pixels.data;
      same.stride = pixels.stride;
      return same;
    }

    void convolve(const PreparedPointwise& weights, const OutPixels& from, int64_t pixels,
                  const OutPixels& to) const {
      Int8Pointwise args = weights.call();
      args.input = read(from);
      args.output = to;
      args.form = Int8Output::kFloat;
      args.pixels = pixels;
      block_.pointwise_.run(args);
    }

    const SeaAttention& block_;
    const void* residual_;  // or null
    void* output_;
  };

  MapShape shape_;
  const PackedHeader& packed_;
  SeaAttentionWidths widths_;
  PixelScratch scratch_;
  Weights weights_;
  BandedFilter filter_;
  PreparedPointwise expand_, detail_, row_, column_, project_;
  AxialHeads heads_;
  const Int8PointwiseKernel& pointwise_;
  const Int8ConvertKernel& convert_;
  const Int8GateKernel& gate_;
  // Along each axis; the rows of all images come first, then the columns: [positions][values].
  float *attended_ = nullptr, *projected_ = nullptr;
  int8_t* quantized_ = nullptr;
  ResizeAxis rows_, columns_;  // where positions lie between the learned ones
};

}  // namespace

std::size_t quantized_sea_attention_workspace(const MapShape& shape, const PackedHeader& packed,
                                              int64_t threads) {
  Carver carver(nullptr);
  SeaAttention(shape, packed, threads).take(carver);
  return carver.used();
}

void quantized_sea_attention(const MapShape& shape, const PackedHeader& packed, bool residual,
                             const void* input, void* output, void* workspace,
                             const Parallel& parallel) {
  SeaAttention block(shape, packed, parallel.threads());
  Carver carver(workspace);
  block.take(carver);
  block.run(residual, input, output, parallel);
}

}  // namespace seaformer
