#include "blocks/quantized_inverted_residual.h"

#include "blocks/banded_filter.h"
#include "blocks/prepared_pointwise.h"
#include "blocks/quad_filter.h"
#include "blocks/quantized_rows.h"
#include "blocks/requantize_sums.h"
#include "blocks/section_reader.h"

namespace seaformer {
namespace {

// float32 that hold so many bytes.
constexpr int64_t floats_of(int64_t bytes) { return (bytes + 3) / 4; }

BandedFilter make_filter(const MapShape& shape, const PackedHeader& packed, bool adds_filtered,
                         int64_t threads, int64_t source_scratch) {
  BandedFilter::Options options;
  options.chunks_end_with_rows = adds_filtered;
  options.source_scratch = source_scratch;
  // The filtered pixels and the residual, both as int8.
  options.extra = floats_of(packed.hidden_channels) + floats_of(packed.out_channels);
  return {shape, packed, threads, options};
}

class Project final : public BandedFilter::Consumer {
 public:
  // The residual is added from `input` or, if that is null, from what was filtered.
  Project(const PackedHeader& packed, bool residual, const void* input, void* output)
      : packed_(packed),
        residual_(residual),
        input_(input),
        output_(output),
        pointwise_(int8_pointwise_kernel()),
        convert_(int8_convert_kernel()) {
    SectionReader sections(packed);
    ratio_ = static_cast<int32_t>(sections.quantized_numbers().ratio);
    if (expands(packed)) sections.pointwise(packed.in_channels, packed.hidden_channels);
    depthwise_ = sections.depthwise(packed.hidden_channels, packed.kernel_size);
    project_ = sections.rest();
  }

  void finish(const BandedFilter::Chunk& chunk) const override {
    const int64_t hidden = packed_.hidden_channels, out = packed_.out_channels;
    const int64_t first = chunk.first * out;
    const OutPixels filtered = chunk.extra;
    requantize_sums(convert_, packed_, depthwise_, chunk, filtered);

    Int8Pointwise args;
    args.input.data = filtered.data;
    args.input.stride = filtered.stride;
    args.weights = project_;
    args.output = {after(output_, first, Element::kI8), out, Element::kI8};
    args.zero = output_type(packed_).zero;
    if (residual_) {
      args.residual = input_ == nullptr
                          ? quantized_residual(chunk)
                          : InPixels{after(input_, first, Element::kI8), out, Element::kI8};
      args.residual_zero = input_type(packed_).zero;
      args.ratio = ratio_;
    }
    args.pixels = chunk.count;
    args.in_channels = hidden;
    args.out_channels = out;
    pointwise_.run(args);
  }

 private:
  InPixels quantized_residual(const BandedFilter::Chunk& chunk) const {
    const int64_t out = packed_.out_channels;
    void* const to = after(chunk.extra.data, floats_of(packed_.hidden_channels), Element::kF32);
    for (int64_t i = 0; i < chunk.count; ++i) {
      convert_.quantize(
          static_cast<const float*>(after(chunk.unfiltered.data, i * chunk.unfiltered.stride)), out,
          1.0f, input_type(packed_).zero, static_cast<int8_t*>(after(to, i * chunk.extra.stride)));
    }
    InPixels residual;
    residual.data = to;
    residual.stride = chunk.extra.stride;
    return residual;
  }

  const PackedHeader& packed_;
  bool residual_;
  const void* input_;
  void* output_;
  const Int8PointwiseKernel& pointwise_;
  const Int8ConvertKernel& convert_;
  int32_t ratio_;
  const void *depthwise_, *project_;
};

void run(const MapShape& shape, const PackedHeader& packed, bool residual, const RowSource& source,
         int64_t source_scratch, const void* input, void* output, Carver& carver,
         const Parallel& parallel) {
  BandedFilter filter =
      make_filter(shape, packed, residual && input == nullptr, parallel.threads(), source_scratch);
  filter.take(carver);
  filter.prepare(source, parallel);
  filter.run(source, parallel, Project(packed, residual, input, output));
}

// On cores with dot products.
QuadFilter make_quad_filter(const MapShape& shape, const PackedHeader& packed, bool unfiltered,
                            int64_t threads, int64_t source_scratch) {
  QuadFilter::Options options;
  options.unfiltered = unfiltered;
  options.source_scratch = source_scratch;
  return {shape, packed, threads, options};
}

PreparedPointwise projection(const PackedHeader& packed, const QuadFilter& filter, Carver& carver) {
  return {packed.hidden_channels, packed.out_channels, filter.next_sections(), carver};
}

class ProjectQuads final : public QuadFilter::Consumer {
 public:
  // As of Project.
  ProjectQuads(const PackedHeader& packed, const PreparedPointwise& project, bool residual,
               const void* input, void* output)
      : packed_(packed),
        project_(project),
        residual_(residual),
        input_(input),
        output_(output),
        pointwise_(int8_pointwise_kernel()),
        ratio_(static_cast<int32_t>(SectionReader(packed).quantized_numbers().ratio)) {}

  void finish(const QuadFilter::Chunk& chunk) const override {
    const int64_t out = packed_.out_channels, first = chunk.first * out;
    Int8Pointwise args = project_.call();
    args.input = chunk.filtered;
    args.input_quads = true;
    args.output = {after(output_, first, Element::kI8), out, Element::kI8};
    args.zero = output_type(packed_).zero;
    if (residual_) {
      args.residual = input_ == nullptr
                          ? chunk.unfiltered
                          : InPixels{after(input_, first, Element::kI8), out, Element::kI8};
      args.residual_zero = input_type(packed_).zero;
      args.ratio = ratio_;
    }
    args.pixels = chunk.count;
    pointwise_.run(args);
  }

 private:
  const PackedHeader& packed_;
  const PreparedPointwise& project_;
  bool residual_;
  const void* input_;
  void* output_;
  const Int8PointwiseKernel& pointwise_;
  int32_t ratio_;
};

void run_quads(const MapShape& shape, const PackedHeader& packed, bool residual,
               const RowSource& source, int64_t source_scratch, const void* input, void* output,
               Carver& carver, const Parallel& parallel) {
  QuadFilter filter = make_quad_filter(shape, packed, residual && input == nullptr,
                                       parallel.threads(), source_scratch);
  filter.take(carver);
  const PreparedPointwise project = projection(packed, filter, carver);
  project.prepare();
  filter.run(source, parallel, ProjectQuads(packed, project, residual, input, output));
}

}  // namespace

Int8Output quantized_row_form() {
  return int8_pointwise_kernel().quads ? Int8Output::kInt8Quads : Int8Output::kInt8Float;
}

std::size_t quantized_inverted_residual_workspace(const MapShape& shape, const PackedHeader& packed,
                                                  int64_t threads, int64_t source_scratch) {
  Carver carver(nullptr);
  QuantizedRows::expansion(packed, carver);
  if (quantized_row_form() == Int8Output::kInt8Quads) {
    // Whether it needs the map pixel by pixel is known only when it runs.
    QuadFilter filter = make_quad_filter(shape, packed, !expands(packed), threads, source_scratch);
    filter.take(carver);
    projection(packed, filter, carver);
    return carver.used();
  }
  // It takes as much with a residual as without.
  make_filter(shape, packed, /*adds_filtered=*/false, threads, source_scratch).take(carver);
  return carver.used();
}

void quantized_inverted_residual(const MapShape& shape, const PackedHeader& packed, bool residual,
                                 const void* input, void* output, void* workspace,
                                 const Parallel& parallel) {
  const Int8Output form = quantized_row_form();
  Carver carver(workspace);
  const PreparedPointwise expand = QuantizedRows::expansion(packed, carver);
  expand.prepare();
  const QuantizedRows rows(shape, packed, expand, input, form);
  (form == Int8Output::kInt8Quads ? run_quads : run)(shape, packed, residual, rows, 0, input,
                                                     output, carver, parallel);
}

void quantized_inverted_residual_of_rows(const MapShape& shape, const PackedHeader& packed,
                                         bool residual, const RowSource& source,
                                         int64_t source_scratch, void* output, void* workspace,
                                         const Parallel& parallel) {
  const bool quads = quantized_row_form() == Int8Output::kInt8Quads;
  Carver carver(workspace);
  (quads ? run_quads : run)(shape, packed, residual, source, source_scratch, nullptr, output,
                            carver, parallel);
}

}  // namespace seaformer
