#include "blocks/segmentation_head.h"

#include <algorithm>

#include "kernels/upsample_argmax/variants.h"

namespace seaformer {
namespace {

struct Sections {
  const float *local, *coarse, *shift, *classifier;
};

Sections sections_of(const PackedHeader& packed) {
  Sections s;
  s.local = packed_sections(packed);
  s.coarse = s.local + packed_pointwise_floats(packed.in_channels, packed.out_channels);
  s.shift = s.coarse + packed_pointwise_floats(packed.hidden_channels, packed.out_channels);
  s.classifier = s.shift + panels(packed.out_channels) * kPanel;
  return s;
}

Gate make_gate(const GateShape& shape, const PackedHeader& packed, const float* local,
               const float* coarse, Carver& carver) {
  const Sections s = sections_of(packed);
  return {shape,
          {packed.in_channels, packed.hidden_channels, packed.out_channels},
          {local, coarse, s.local, s.coarse, s.shift},
          carver};
}

struct Scratch {
  Gate::Rows rows;
  float* fused;  // [kGateChunk][out_channels]
};

Scratch take_scratch(const Gate& gate, const PackedHeader& packed, Carver& carver) {
  return {gate.take_rows(carver), carver.take<float>(kGateChunk * packed.out_channels)};
}

}  // namespace

std::size_t segmentation_head_workspace(const GateShape& shape, const PackedHeader& packed,
                                        int64_t threads) {
  Carver carver(nullptr);
  const Gate gate = make_gate(shape, packed, nullptr, nullptr, carver);
  for (int64_t i = 0; i < threads; ++i) take_scratch(gate, packed, carver);
  return carver.used();
}

void segmentation_head(const GateShape& shape, const PackedHeader& packed, const float* local,
                       const float* coarse, float* logits, int32_t* winners, void* workspace,
                       const Parallel& parallel) {
  Carver carver(workspace);
  const Gate gate = make_gate(shape, packed, local, coarse, carver);
  const std::size_t shared_bytes = carver.used();
  Carver worker_size(nullptr);
  take_scratch(gate, packed, worker_size);

  const PointwiseKernel& classify = pointwise_kernel();
  const UpsampleArgmaxKernel& labels = upsample_argmax_kernel();
  const float* const weights = sections_of(packed).classifier;
  const int64_t width = shape.local.width, fused = packed.out_channels,
                classes = packed.kernel_size;
  const int64_t workers = std::min(gate.row_count(), parallel.threads());
  parallel.run(workers, [&](int64_t worker) {
    Carver own(static_cast<unsigned char*>(workspace) + shared_bytes + worker * worker_size.used());
    Scratch scratch = take_scratch(gate, packed, own);
    const int64_t end = gate.row_count() * (worker + 1) / workers;
    for (int64_t row = gate.row_count() * worker / workers; row < end; ++row) {
      gate.enter_row(row, scratch.rows);
      for (int64_t x = 0; x < width; x += kGateChunk) {
        const int64_t count = std::min(kGateChunk, width - x);
        gate.pixels(row, x, x + count, scratch.rows, scratch.fused);
        const int64_t pixel = row * width + x;
        float* to = logits + pixel * classes;
        classify.run({scratch.fused, fused, weights, to, classes, nullptr, 0, nullptr, 0, count,
                      fused, classes, Activation::kNone});
        // While they are in the first-level cache.
        if (winners != nullptr) labels.first_argmax(to, count, classes, winners + pixel);
      }
    }
  });
}

}  // namespace seaformer
