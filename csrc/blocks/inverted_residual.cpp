#include "blocks/inverted_residual.h"

#include "blocks/banded_filter.h"
#include "blocks/block_kind.h"
#include "blocks/input_rows.h"
#include "blocks/quantized_inverted_residual.h"
#include "blocks/section_reader.h"
#include "core/require.h"
#include "kernels/depthwise/variants.h"
#include "kernels/pointwise/variants.h"

namespace seaformer {
namespace {

BandedFilter make_filter(const MapShape& shape, const PackedHeader& packed, bool residual,
                         int64_t threads, int64_t source_scratch) {
  BandedFilter::Options options;
  // The residual is what was filtered, where nothing expands: near, in the ring.
  options.chunks_end_with_rows = residual && !expands(packed);
  options.source_scratch = source_scratch;
  return {shape, packed, threads, options};
}

class Project final : public BandedFilter::Consumer {
 public:
  // The residual is added from `input` or, if that is null, from what was filtered.
  Project(const PackedHeader& packed, const void* weights, bool residual, const void* input,
          void* output)
      : packed_(packed),
        weights_(weights),
        residual_(residual),
        input_(input),
        output_(output),
        kernel_(pointwise_kernel(element_of(packed))) {}

  void finish(const BandedFilter::Chunk& chunk) const override {
    const int64_t out = packed_.out_channels, first = chunk.first * out;
    const Element element = element_of(packed_);
    Pointwise args;
    args.input = chunk.filtered;
    args.weights = weights_;
    args.output = {after(output_, first, element), out, element};
    if (residual_) {
      args.residual = input_ == nullptr ? chunk.unfiltered
                                        : InPixels{after(input_, first, element), out, element};
    }
    args.pixels = chunk.count;
    args.in_channels = packed_.hidden_channels;
    args.out_channels = out;
    kernel_.run(args);
  }

 private:
  const PackedHeader& packed_;
  const void* weights_;
  bool residual_;
  const void* input_;
  void* output_;
  const PointwiseKernel& kernel_;
};

void run(const MapShape& shape, const PackedHeader& packed, bool residual, const RowSource& source,
         int64_t source_scratch, const void* input, void* output, void* workspace,
         const Parallel& parallel) {
  BandedFilter filter = make_filter(shape, packed, residual, parallel.threads(), source_scratch);
  Carver carver(workspace);
  filter.take(carver);
  filter.prepare(source, parallel);
  filter.run(source, parallel, Project(packed, filter.next_sections(), residual, input, output));
}

}  // namespace

int64_t inverted_residual_out(const PackedHeader& packed, int64_t in) {
  return (in - 1) / packed.stride + 1;
}

std::size_t inverted_residual_workspace(const MapShape& shape, const PackedHeader& packed,
                                        int64_t threads, int64_t source_scratch) {
  if (is_int8(packed)) {
    return quantized_inverted_residual_workspace(shape, packed, threads, source_scratch);
  }
  Carver carver(nullptr);
  // It takes as much with a residual as without.
  make_filter(shape, packed, /*residual=*/false, threads, source_scratch).take(carver);
  return carver.used();
}

void inverted_residual(const MapShape& shape, const PackedHeader& packed, bool residual,
                       const void* input, void* output, void* workspace, const Parallel& parallel) {
  if (is_int8(packed)) {
    return quantized_inverted_residual(shape, packed, residual, input, output, workspace, parallel);
  }
  const InputRows rows(shape, packed, input);
  run(shape, packed, residual, rows, 0, expands(packed) ? input : nullptr, output, workspace,
      parallel);
}

void inverted_residual_of_rows(const MapShape& shape, const PackedHeader& packed, bool residual,
                               const RowSource& source, int64_t source_scratch, void* output,
                               void* workspace, const Parallel& parallel) {
  if (is_int8(packed)) {
    return quantized_inverted_residual_of_rows(shape, packed, residual, source, source_scratch,
                                               output, workspace, parallel);
  }
  run(shape, packed, residual, source, source_scratch, nullptr, output, workspace, parallel);
}

namespace {

// Sections: of int8 its numbers; pointwise(in, hidden) if it expands, depthwise(hidden),
// pointwise(hidden, out).
class InvertedResidualKind final : public BlockKind {
 public:
  Sections sections(const PackedHeader& w) const override {
    Sections sections(w);
    sections.quantized_numbers();
    if (expands(w)) sections.pointwise(w.in_channels, w.hidden_channels);
    sections.depthwise(w.hidden_channels, w.kernel_size);
    return sections.pointwise(w.hidden_channels, w.out_channels);
  }
  void check(const char* op, const PackedHeader& w) const override {
    check_hidden_channels(op, w);
    require(w.kernel_size == 3 || w.kernel_size == 5, op,
            ": expected packed weights of kernel size 3 or 5, got ", w.kernel_size);
    require(w.stride == 1 || w.stride == 2, op, ": expected packed weights of stride 1 or 2, got ",
            w.stride);
    require(is_activation(w.expand_activation) && is_activation(w.depthwise_activation) &&
                w.depthwise_activation != static_cast<int32_t>(Activation::kHardSigmoid),
            op, ": expected packed weights with known activations, got codes ", w.expand_activation,
            " and ", w.depthwise_activation);
    require(expands(w) || w.hidden_channels == w.in_channels, op,
            ": expected packed weights without an expansion to have as many hidden as input "
            "channels, got ",
            w.hidden_channels, " and ", w.in_channels);
    require(!is_int8(w) || w.expand_activation != static_cast<int32_t>(Activation::kHardSigmoid),
            op, ": expected packed weights of int8 without h_sigmoid, got some with it");
  }
  bool has_int8() const override { return true; }
  bool may_add_input(const PackedHeader& w) const override {
    return w.stride == 1 && w.in_channels == w.out_channels;
  }
  MapSize output_size(const PackedHeader& w, const MapSize& input) const override {
    return {{input.batch, inverted_residual_out(w, input.height),
             inverted_residual_out(w, input.width)},
            w.out_channels};
  }
  std::size_t workspace(const BlockCall& call, int64_t threads) const override {
    return inverted_residual_workspace(call.input, call.weights, threads);
  }
  void run(const BlockCall& call, const BlockArrays& arrays,
           const Parallel& parallel) const override {
    inverted_residual(call.input, call.weights, call.residual, arrays.input, arrays.output,
                      arrays.workspace, parallel);
  }
};

}  // namespace

const BlockKind& inverted_residual_kind() {
  static constexpr InvertedResidualKind kKind;
  return kKind;
}

}  // namespace seaformer
