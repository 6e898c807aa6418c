#include "blocks/segmentation_head.h"

#include <algorithm>

#include "blocks/block_kind.h"
#include "blocks/section_reader.h"
#include "core/require.h"
#include "kernels/int8_convert/variants.h"
#include "kernels/upsample_argmax/variants.h"

namespace seaformer {
namespace {

struct Scratch {
  Gate::Rows rows;
  void* fused;        // [kGateChunk][out_channels]
  int8_t* quantized;  // the same, of int8
};

Scratch take_scratch(const Gate& gate, const PackedHeader& packed, Carver& carver) {
  const int64_t fused = kGateChunk * packed.out_channels;
  const bool int8 = is_int8(packed);
  return {gate.take_rows(carver), carver.take(fused, int8 ? Element::kF32 : element_of(packed)),
          carver.take<int8_t>(int8 ? fused : 0)};
}

// The sections behind those of the gate.
struct Classifier {
  Classifier(const Gate& gate, const PackedHeader& packed, Carver& carver) {
    SectionReader sections(gate.next_sections(), element_of(packed));
    shift = sections.array(packed.out_channels);
    weights = sections.rest();
    if (is_int8(packed)) prepared = {packed.out_channels, class_count(packed), weights, carver};
  }
  const float* shift;
  const void* weights;
  PreparedPointwise prepared;  // of int8
};

WorkerScratch take_scratch(const Gate& gate, const PackedHeader& packed, int64_t workers,
                           Carver& carver) {
  return {workers, [&](Carver& own) { take_scratch(gate, packed, own); }, carver};
}

}  // namespace

std::size_t segmentation_head_workspace(const GateShape& shape, const PackedHeader& packed,
                                        int64_t threads) {
  Carver carver(nullptr);
  const Gate gate(shape, packed, nullptr, nullptr, carver);
  Classifier(gate, packed, carver);
  take_scratch(gate, packed, threads, carver);
  return carver.used();
}

void segmentation_head(const GateShape& shape, const PackedHeader& packed, const void* local,
                       const void* coarse, void* logits, int32_t* winners, void* workspace,
                       const Parallel& parallel) {
  Carver carver(workspace);
  const Gate gate(shape, packed, local, coarse, carver);
  gate.prepare();
  const Classifier classifier(gate, packed, carver);
  classifier.prepared.prepare();
  const int64_t workers = std::min(gate.row_count(), parallel.threads());
  const WorkerScratch all_scratch = take_scratch(gate, packed, workers, carver);

  const bool int8 = is_int8(packed);
  const Element element = output_type(packed).element;
  const PointwiseKernel& classify = pointwise_kernel(element);
  const UpsampleArgmaxKernel& labels = upsample_argmax_kernel();
  const int64_t width = shape.local.width, fused = packed.out_channels,
                classes = class_count(packed);
  parallel.run(workers, [&](int64_t worker) {
    Carver own = all_scratch.of(worker);
    Scratch scratch = take_scratch(gate, packed, own);
    const int64_t end = gate.row_count() * (worker + 1) / workers;
    for (int64_t row = gate.row_count() * worker / workers; row < end; ++row) {
      gate.enter_row(row, scratch.rows);
      for (int64_t x = 0; x < width; x += kGateChunk) {
        const int64_t count = std::min(kGateChunk, width - x);
        gate.pixels(row, x, x + count, scratch.rows, classifier.shift, scratch.fused);
        const int64_t pixel = row * width + x;
        void* const to = after(logits, pixel * classes, element);
        if (int8) {
          int8_convert_kernel().quantize(static_cast<const float*>(scratch.fused), count * fused,
                                         1.0f, kLeastQuantized, scratch.quantized);
          Int8Pointwise args = classifier.prepared.call();
          args.input = {scratch.quantized, fused};
          args.output = {to, classes, element};
          args.form = Int8Output::kFloat;
          args.pixels = count;
          int8_pointwise_kernel().run(args);
        } else {
          Pointwise args;
          args.input = {scratch.fused, fused, element};
          args.weights = classifier.weights;
          args.output = {to, classes, element};
          args.pixels = count;
          args.in_channels = fused;
          args.out_channels = classes;
          classify.run(args);
        }
        // While they are in the first-level cache.
        if (winners != nullptr) {
          labels.first_argmax(static_cast<const float*>(to), count, classes, winners + pixel);
        }
      }
    }
  });
}

namespace {

// Sections: as fusion_gate (of int8, whose shift is in units of what it is added to), shift(out),
// pointwise(out, classes).
class SegmentationHeadKind final : public BlockKind {
 public:
  Sections sections(const PackedHeader& w) const override {
    return Sections(w)
        .quantized_numbers()
        .pointwise(w.in_channels, w.out_channels)
        .pointwise(w.hidden_channels, w.out_channels)
        .array(w.out_channels)
        .pointwise(w.out_channels, class_count(w));
  }
  void check(const char* op, const PackedHeader& w) const override {
    check_hidden_channels(op, w);
    require(is_packed_channels(class_count(w)), op, ": expected packed weights with 1 to ",
            kMaxPackedChannels, " classes, got ", class_count(w));
  }
  bool has_int8() const override { return true; }
  bool writes_floats() const override { return true; }
  int maps() const override { return 2; }
  bool writes_winners() const override { return true; }
  MapSize output_size(const PackedHeader& w, const MapSize& input, const MapSize&) const override {
    return {input, class_count(w)};
  }
  std::size_t workspace(const BlockCall& call, int64_t threads) const override {
    return segmentation_head_workspace({call.input, call.coarse}, call.weights, threads);
  }
  void run(const BlockCall& call, const BlockArrays& arrays,
           const Parallel& parallel) const override {
    segmentation_head({call.input, call.coarse}, call.weights, arrays.input, arrays.coarse,
                      arrays.output, arrays.winners, arrays.workspace, parallel);
  }
};

}  // namespace

const BlockKind& segmentation_head_kind() {
  static constexpr SegmentationHeadKind kKind;
  return kKind;
}

}  // namespace seaformer
