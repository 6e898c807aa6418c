#include "blocks/gate.h"

#include "blocks/resize_axis.h"

namespace seaformer {

Gate::Gate(const GateShape& shape, const GateChannels& channels, const GateOperands& operands,
           Carver& carver)
    : shape_(shape),
      channels_(channels),
      operands_(operands),
      vertical_(make_resize_axis(shape.coarse.height, shape.local.height, carver)),
      horizontal_(make_resize_axis(shape.coarse.width, shape.local.width, carver)),
      bilinear_(bilinear_kernel()),
      pointwise_(pointwise_kernel()) {}

Gate::Rows Gate::take_rows(Carver& carver) const {
  const int64_t floats = shape_.coarse.width * channels_.out;
  Rows rows{};
  for (int slot = 0; slot < 2; ++slot) {
    rows.gates[slot] = carver.take<float>(floats);
    rows.held[slot] = -1;
  }
  rows.blended = carver.take<float>(floats);
  return rows;
}

int Gate::hold(int64_t coarse_row, int64_t keep, Rows& rows) const {
  for (int slot = 0; slot < 2; ++slot) {
    if (rows.held[slot] == coarse_row) return slot;
  }
  const int slot = rows.held[0] == keep ? 1 : 0;
  const int64_t width = shape_.coarse.width;
  pointwise_.run({operands_.coarse + coarse_row * width * channels_.coarse, channels_.coarse,
                  operands_.coarse_weights, rows.gates[slot], channels_.out, nullptr, 0, nullptr, 0,
                  width, channels_.coarse, channels_.out, Activation::kHardSigmoid});
  rows.held[slot] = coarse_row;
  return slot;
}

void Gate::enter_row(int64_t row, Rows& rows) const {
  const int64_t height = shape_.local.height;
  const int64_t y = row % height, first = row / height * shape_.coarse.height;
  const ResizeRun& run = *find_run(vertical_, y);
  const int low = hold(first + run.low, first + run.high, rows);
  const int high = hold(first + run.high, first + run.low, rows);
  bilinear_.blend(rows.gates[low], rows.gates[high], vertical_.low_weight[y],
                  vertical_.high_weight[y], shape_.coarse.width * channels_.out, rows.blended);
}

void Gate::pixels(int64_t row, int64_t begin, int64_t end, const Rows& rows, float* output) const {
  pointwise_.run({operands_.local + (row * shape_.local.width + begin) * channels_.local,
                  channels_.local, operands_.local_weights, output, channels_.out, nullptr, 0,
                  nullptr, 0, end - begin, channels_.local, channels_.out, Activation::kNone});
  bilinear_.multiply({rows.blended, find_run(horizontal_, begin), horizontal_.low_weight,
                      horizontal_.high_weight, begin, end, output, channels_.out, operands_.shift,
                      channels_.out});
}

}  // namespace seaformer
