#include "blocks/upsampling_head.h"

#include "blocks/banded_filter.h"
#include "blocks/block_kind.h"
#include "blocks/doubled_rows.h"
#include "blocks/section_reader.h"
#include "core/require.h"
#include "kernels/pointwise/variants.h"
#include "kernels/upsample_argmax/variants.h"

namespace seaformer {
namespace {

BandedFilter make_filter(const MapShape& shape, const PackedHeader& packed, int64_t threads) {
  BandedFilter::Options options;
  options.extra = packed.out_channels;
  options.source_scratch = packed.in_channels * bytes_of(element_of(packed));
  return {doubled(shape), packed, threads, options};
}

class Classify final : public BandedFilter::Consumer {
 public:
  Classify(const PackedHeader& packed, const void* sections, void* logits, int32_t* winners)
      : element_(element_of(packed)),
        hidden_(packed.hidden_channels),
        fused_(packed.out_channels),
        classes_(class_count(packed)),
        logits_(logits),
        winners_(winners),
        pointwise_(pointwise_kernel(element_)),
        labels_(upsample_argmax_kernel()) {
    SectionReader reader(sections, element_);
    projection_ = reader.pointwise(hidden_, fused_);
    classifier_ = reader.rest();
  }

  void finish(const BandedFilter::Chunk& chunk) const override {
    Pointwise project;
    project.input = chunk.filtered;
    project.weights = projection_;
    project.output = chunk.extra;
    project.pixels = chunk.count;
    project.in_channels = hidden_;
    project.out_channels = fused_;
    project.activation = Activation::kRelu;
    pointwise_.run(project);

    void* const to = after(logits_, chunk.first * classes_, element_);
    Pointwise classify;
    classify.input = {chunk.extra.data, fused_, element_};
    classify.weights = classifier_;
    classify.output = {to, classes_, element_};
    classify.pixels = chunk.count;
    classify.in_channels = fused_;
    classify.out_channels = classes_;
    pointwise_.run(classify);
    // While they are in the first-level cache.
    if (winners_ != nullptr) {
      labels_.first_argmax(static_cast<const float*>(to), chunk.count, classes_,
                           winners_ + chunk.first);
    }
  }

 private:
  const Element element_;
  const int64_t hidden_, fused_, classes_;
  void* const logits_;
  int32_t* const winners_;
  const PointwiseKernel& pointwise_;
  const UpsampleArgmaxKernel& labels_;
  const void *projection_, *classifier_;
};

}  // namespace

std::size_t upsampling_head_workspace(const MapShape& shape, const PackedHeader& packed,
                                      int64_t threads) {
  Carver carver(nullptr);
  const DoubledRows rows(shape, packed.in_channels, element_of(packed), nullptr, carver);
  make_filter(shape, packed, threads).take(carver);
  return carver.used();
}

void upsampling_head(const MapShape& shape, const PackedHeader& packed, const void* input,
                     void* logits, int32_t* winners, void* workspace, const Parallel& parallel) {
  Carver carver(workspace);
  const DoubledRows rows(shape, packed.in_channels, element_of(packed), input, carver);
  BandedFilter filter = make_filter(shape, packed, parallel.threads());
  filter.take(carver);
  filter.prepare(rows, parallel);
  filter.run(rows, parallel, Classify(packed, filter.next_sections(), logits, winners));
}

namespace {

// Sections: depthwise(in), pointwise(in, out), pointwise(out, classes); hidden is in.
class UpsamplingHeadKind final : public BlockKind {
 public:
  Sections sections(const PackedHeader& w) const override {
    return Sections(w)
        .depthwise(w.in_channels, w.kernel_size)
        .pointwise(w.in_channels, w.out_channels)
        .pointwise(w.out_channels, class_count(w));
  }
  void check(const char* op, const PackedHeader& w) const override {
    require(w.hidden_channels == w.in_channels && w.flags == 0, op,
            ": expected packed weights without an expansion, as many hidden as input channels and "
            "flags 0, got ",
            w.hidden_channels, " and ", w.in_channels, " channels and flags ", w.flags);
    require(w.kernel_size == 3 || w.kernel_size == 5, op,
            ": expected packed weights of kernel size 3 or 5, got ", w.kernel_size);
    require(w.stride == 1, op, ": expected packed weights of stride 1, got ", w.stride);
    require(is_activation(w.depthwise_activation, Activation::kRelu6), op,
            ": expected packed weights with a known activation, got code ", w.depthwise_activation);
    require(is_packed_channels(class_count(w)), op, ": expected packed weights with 1 to ",
            kMaxPackedChannels, " classes, got ", class_count(w));
  }
  bool writes_winners() const override { return true; }
  MapSize output_size(const PackedHeader& w, const MapSize& input, const MapSize&) const override {
    return {doubled(input), class_count(w)};
  }
  std::size_t workspace(const BlockCall& call, int64_t threads) const override {
    return upsampling_head_workspace(call.input, call.weights, threads);
  }
  void run(const BlockCall& call, const BlockArrays& arrays,
           const Parallel& parallel) const override {
    upsampling_head(call.input, call.weights, arrays.input, arrays.output, arrays.winners,
                    arrays.workspace, parallel);
  }
};

}  // namespace

const BlockKind& upsampling_head_kind() {
  static constexpr UpsamplingHeadKind kKind;
  return kKind;
}

}  // namespace seaformer
