#include "blocks/fusion_gate.h"

#include <algorithm>

#include "blocks/block_kind.h"
#include "blocks/section_reader.h"

namespace seaformer {
namespace {

WorkerScratch take_rows(const Gate& gate, int64_t workers, Carver& carver) {
  return {workers, [&](Carver& own) { gate.take_rows(own); }, carver};
}

}  // namespace

std::size_t fusion_gate_workspace(const GateShape& shape, const PackedHeader& packed,
                                  int64_t threads) {
  Carver carver(nullptr);
  const Gate gate(shape, packed, nullptr, nullptr, carver);
  take_rows(gate, threads, carver);
  return carver.used();
}

void fusion_gate(const GateShape& shape, const PackedHeader& packed, const void* local,
                 const void* coarse, void* output, void* workspace, const Parallel& parallel) {
  Carver carver(workspace);
  const Gate gate(shape, packed, local, coarse, carver);
  const int64_t width = shape.local.width;
  const int64_t workers = std::min(gate.row_count(), parallel.threads());
  const WorkerScratch scratch = take_rows(gate, workers, carver);
  parallel.run(workers, [&](int64_t worker) {
    Carver own = scratch.of(worker);
    Gate::Rows rows = gate.take_rows(own);
    const int64_t end = gate.row_count() * (worker + 1) / workers;
    for (int64_t row = gate.row_count() * worker / workers; row < end; ++row) {
      gate.enter_row(row, rows);
      for (int64_t x = 0; x < width; x += kGateChunk) {
        gate.pixels(row, x, std::min(x + kGateChunk, width), rows, /*shift=*/nullptr,
                    after(output, (row * width + x) * packed.out_channels, element_of(packed)));
      }
    }
  });
}

namespace {

// Sections: pointwise(in, out), pointwise(hidden, out); hidden: of the coarse map.
class FusionGateKind final : public BlockKind {
 public:
  Sections sections(const PackedHeader& w) const override {
    return Sections(w)
        .pointwise(w.in_channels, w.out_channels)
        .pointwise(w.hidden_channels, w.out_channels);
  }
  void check(const char* op, const PackedHeader& w) const override { check_hidden_channels(op, w); }
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
