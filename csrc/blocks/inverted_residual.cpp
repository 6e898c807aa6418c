#include "blocks/inverted_residual.h"

#include <algorithm>

#include "blocks/activated.h"
#include "blocks/banded_filter.h"
#include "blocks/block_kind.h"
#include "blocks/input_rows.h"
#include "blocks/over_grains.h"
#include "blocks/quantized_inverted_residual.h"
#include "blocks/section_reader.h"
#include "blocks/squeeze_excite.h"
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

// The residual is added from `input` or, if that is null, from what was filtered.
class Project final : public BandedFilter::Consumer {
 public:
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
    args.activation = output_activation(packed_);
    run_activated(kernel_, args);
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

// What squeeze-and-excite wants to know of filtered pixels, which are kept.
class AddUp final : public BandedFilter::Consumer {
 public:
  explicit AddUp(const SqueezeExcite& squeeze) : squeeze_(squeeze) {}
  void finish(const BandedFilter::Chunk& chunk) const override {
    squeeze_.add_up(chunk.filtered, chunk.first, chunk.count);
  }

 private:
  const SqueezeExcite& squeeze_;
};

MapShape filtered_shape(const MapShape& shape, const PackedHeader& packed) {
  return {shape.batch, inverted_residual_out(packed, shape.height),
          inverted_residual_out(packed, shape.width)};
}

// With squeeze-and-excite: all is filtered before anything can be projected.
class SqueezingResidual {
 public:
  SqueezingResidual(const MapShape& shape, const PackedHeader& packed, int64_t threads)
      : packed_(packed),
        shape_(filtered_shape(shape, packed)),
        filter_(shape, packed, threads, kept()),
        squeeze_(shape_, packed, filter_.next_sections(), threads) {}

  void take(Carver& carver) {
    filter_.take(carver);
    squeeze_.take(carver);
  }

  void run(bool residual, const RowSource& source, const void* input, void* output,
           const Parallel& parallel) const {
    squeeze_.clear();
    filter_.prepare(source, parallel);
    filter_.run(source, parallel, AddUp(squeeze_));
    squeeze_.excite(parallel);
    const Project project(packed_, squeeze_.next_sections(), residual, input, output);
    constexpr int64_t kGrain = 24;  // pixels, a multiple of every tile's
    const int64_t pixels = shape_.height * shape_.width;
    const int64_t grains = std::max<int64_t>(pixels / kGrain, 1);  // the last takes the rest
    over_grains(shape_.batch * grains, 1, parallel, [&](int64_t, int64_t begin, int64_t count) {
      for (int64_t i = begin; i < begin + count; ++i) {
        const int64_t image = i / grains, grain = i % grains, first = grain * kGrain;
        const int64_t some = grain == grains - 1 ? pixels - first : kGrain;
        const OutPixels filtered = filter_.kept_filtered(image * pixels + first);
        squeeze_.scale(image, filtered, some);
        BandedFilter::Chunk chunk{};
        chunk.filtered.data = filtered.data;
        chunk.filtered.stride = filtered.stride;
        chunk.first = image * pixels + first;
        chunk.count = some;
        project.finish(chunk);
      }
    });
  }

 private:
  static BandedFilter::Options kept() {
    BandedFilter::Options options;
    options.keep_filtered = true;
    return options;
  }

  const PackedHeader& packed_;
  MapShape shape_;
  BandedFilter filter_;
  SqueezeExcite squeeze_;
};

}  // namespace

int64_t inverted_residual_out(const PackedHeader& packed, int64_t in) {
  return depthwise_axis(packed).out(in);
}

std::size_t inverted_residual_workspace(const MapShape& shape, const PackedHeader& packed,
                                        int64_t threads, int64_t source_scratch) {
  if (is_int8(packed)) {
    return quantized_inverted_residual_workspace(shape, packed, threads, source_scratch);
  }
  Carver carver(nullptr);
  if (squeezes(packed)) {
    SqueezingResidual(shape, packed, threads).take(carver);
    return carver.used();
  }
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
  if (squeezes(packed)) {
    SqueezingResidual block(shape, packed, parallel.threads());
    Carver carver(workspace);
    block.take(carver);
    return block.run(residual, rows, input, output, parallel);
  }
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

// Sections: of int8 its numbers; pointwise(in, hidden) if it expands, depthwise(hidden); of
// squeeze-and-excite pointwise(hidden, squeezed) and pointwise(squeezed, hidden);
// pointwise(hidden, out).
class InvertedResidualKind final : public BlockKind {
 public:
  Sections sections(const PackedHeader& w) const override {
    Sections sections(w);
    sections.quantized_numbers();
    if (expands(w)) sections.pointwise(w.in_channels, w.hidden_channels);
    sections.depthwise(w.hidden_channels, w.kernel_size);
    if (const int32_t squeezed = squeeze_layers(w).channels; squeezed > 0) {
      sections.pointwise(w.hidden_channels, squeezed).pointwise(squeezed, w.hidden_channels);
    }
    return sections.pointwise(w.hidden_channels, w.out_channels);
  }
  void check(const char* op, const PackedHeader& w) const override {
    check_hidden_channels(op, w);
    require(w.kernel_size == 3 || w.kernel_size == 5, op,
            ": expected packed weights of kernel size 3 or 5, got ", w.kernel_size);
    require(w.stride == 1 || w.stride == 2, op, ": expected packed weights of stride 1 or 2, got ",
            w.stride);
    const Activation most = is_int8(w) ? Activation::kRelu6 : Activation::kLast;
    require(is_activation(w.expand_activation, most) && is_activation(w.depthwise_activation, most),
            op, ": expected packed weights with known activations, got codes ", w.expand_activation,
            " and ", w.depthwise_activation);
    require(expands(w) || w.hidden_channels == w.in_channels, op,
            ": expected packed weights without an expansion to have as many hidden as input "
            "channels, got ",
            w.hidden_channels, " and ", w.in_channels);
    require(!is_int8(w) || !pads_same(w), op,
            ": expected packed weights of int8 with symmetric padding, got another");
    check_output_activation(op, w);
    const SqueezeLayers layers = squeeze_layers(w);
    require(layers.channels == 0 || is_packed_channels(layers.channels), op,
            ": expected packed weights with up to ", kMaxPackedChannels, " squeezed channels, got ",
            layers.channels);
    require(layers.channels == 0 ||
                (is_activation(w.key_dim) &&
                 (layers.gate == Activation::kHardSigmoid || layers.gate == Activation::kSigmoid)),
            op, ": expected packed weights with a known activation and a gate of 3 (h_sigmoid) or ",
            "6 (sigmoid) in squeeze-and-excite, got ", w.key_dim, " and ", w.classes);
  }
  bool has_int8() const override { return true; }
  bool may_add_input(const PackedHeader& w) const override {
    return w.stride == 1 && w.in_channels == w.out_channels;
  }
  MapSize output_size(const PackedHeader& w, const MapSize& input, const MapSize&) const override {
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
