#include "blocks/fusion_gate.h"

#include <algorithm>

#include "blocks/block_kind.h"
#include "blocks/section_reader.h"
#include "kernels/int8_convert/variants.h"

namespace seaformer {
namespace {

struct Scratch {
  Gate::Rows rows;
  float* gated;  // [kGateChunk][out_channels], of int8
};

Scratch take_scratch(const Gate& gate, const PackedHeader& packed, Carver& carver) {
  return {gate.take_rows(carver),
          carver.take<float>(is_int8(packed) ? kGateChunk * packed.out_channels : 0)};
}

WorkerScratch take_scratch(const Gate& gate, const PackedHeader& packed, int64_t workers,
                           Carver& carver) {
  return {workers, [&](Carver& own) { take_scratch(gate, packed, own); }, carver};
}

}  // namespace

std::size_t fusion_gate_workspace(const GateShape& shape, const PackedHeader& packed,
                                  int64_t threads) {
  Carver carver(nullptr);
  const Gate gate(shape, packed, nullptr, nullptr, carver);
  take_scratch(gate, packed, threads, carver);
  return carver.used();
}

void fusion_gate(const GateShape& shape, const PackedHeader& packed, const void* local,
                 const void* coarse, void* output, void* workspace, const Parallel& parallel) {
  Carver carver(workspace);
  const Gate gate(shape, packed, local, coarse, carver);
  gate.prepare();
  const int64_t width = shape.local.width;
  const int64_t workers = std::min(gate.row_count(), parallel.threads());
  const WorkerScratch all_scratch = take_scratch(gate, packed, workers, carver);
  parallel.run(workers, [&](int64_t worker) {
    Carver own = all_scratch.of(worker);
    Scratch scratch = take_scratch(gate, packed, own);
    const int64_t end = gate.row_count() * (worker + 1) / workers;
    for (int64_t row = gate.row_count() * worker / workers; row < end; ++row) {
      gate.enter_row(row, scratch.rows);
      for (int64_t x = 0; x < width; x += kGateChunk) {
        const int64_t end_x = std::min(x + kGateChunk, width);
        void* const to = after(output, (row * width + x) * packed.out_channels, element_of(packed));
        gate.pixels(row, x, end_x, scratch.rows, /*shift=*/nullptr,
                    is_int8(packed) ? scratch.gated : to);
        if (is_int8(packed)) {
          int8_convert_kernel().quantize(scratch.gated, (end_x - x) * packed.out_channels, 1.0f, 0,
                                         static_cast<int8_t*>(to));
        }
      }
    }
  });
}

namespace {

// Sections: of int8 its numbers, the inner scale that of the coarse map; pointwise(in, out),
// pointwise(hidden, out); hidden: of the coarse map.
class FusionGateKind final : public BlockKind {
 public:
  Sections sections(const PackedHeader& w) const override {
    return Sections(w)
        .quantized_numbers()
        .pointwise(w.in_channels, w.out_channels)
        .pointwise(w.hidden_channels, w.out_channels);
  }
  void check(const char* op, const PackedHeader& w) const override { check_hidden_channels(op, w); }
  bool has_int8() const override { return true; }
  int maps() const override { return 2; }
  std::size_t workspace(const BlockCall& call, int64_t threads) const override {
    return fusion_gate_workspace({call.input, call.coarse}, call.weights, threads);
  }
  void run(const BlockCall& call, const BlockArrays& arrays,
           const Parallel& parallel) const override {
    fusion_gate({call.input, call.coarse}, call.weights, arrays.input, arrays.coarse, arrays.output,
                arrays.workspace, parallel);
  }
};

}  // namespace

const BlockKind& fusion_gate_kind() {
  static constexpr FusionGateKind kKind;
  return kKind;
}

}  // namespace seaformer
