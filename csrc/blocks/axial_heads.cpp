#include "blocks/axial_heads.h"

#include <algorithm>

namespace seaformer {

AxialHeads::AxialHeads(const AxialHeadsShape& shape, int64_t threads)
    : shape_(shape),
      workers_(std::min(threads, shape.maps.batch * 2 * shape.heads)),
      kernel_(axial_kernel()) {}

void AxialHeads::take(Carver& carver) {
  squeezed_ = carver.take<float>(positions() * shape_.all());
  scratch_ =
      WorkerScratch(workers_, [&](Carver& own) { own.take<float>(scratch_floats()); }, carver);
}

int64_t AxialHeads::scratch_floats() const {
  return axial_scratch_floats(std::max(shape_.maps.height, shape_.maps.width), shape_.key_dim);
}

void AxialHeads::add_positions(const ResizeAxis& axis, int64_t length, const float* learned,
                               float* to) const {
  const int64_t keys = shape_.keys(), stride = shape_.all();
  for (int64_t image = 0; image < shape_.maps.batch; ++image, to += length * stride) {
    for (int64_t r = 0; r < axis.run_count; ++r) {
      const ResizeRun& run = axis.runs[r];
      const float *low = learned + run.low * keys, *high = learned + run.high * keys;
      for (int64_t i = run.begin; i < run.end; ++i) {
        float* sum = to + i * stride;
        for (int64_t c = 0; c < keys; ++c) {
          sum[c] += axis.low_weight[i] * low[c] + axis.high_weight[i] * high[c];
        }
      }
    }
  }
}

void AxialHeads::attend(float* rows, float* columns, const Parallel& parallel) const {
  const int64_t tasks = shape_.maps.batch * 2 * shape_.heads, stride = shape_.all();
  parallel.run(workers_, [&](int64_t worker) {
    Carver own = scratch_.of(worker);
    float* const scratch = own.take<float>(scratch_floats());
    for (int64_t i = tasks * worker / workers_; i < tasks * (worker + 1) / workers_; ++i) {
      const int64_t image = i / shape_.heads / 2, head = i % shape_.heads;
      const bool along_rows = i / shape_.heads % 2 == 0;
      const int64_t length = along_rows ? shape_.maps.height : shape_.maps.width;
      const float* first = (along_rows ? this->rows() : this->columns()) + image * length * stride;
      const float* q = first + head * shape_.key_dim;
      float* output = (along_rows ? rows : columns) + image * length * shape_.values();
      AxialAttend args;
      args.q = {q, stride};
      args.k = {q + shape_.keys(), stride};
      args.v = {first + 2 * shape_.keys() + head * shape_.value_dim, stride};
      args.output = {output + head * shape_.value_dim, shape_.values()};
      args.length = length;
      args.key_dim = shape_.key_dim;
      args.value_dim = shape_.value_dim;
      args.scale = shape_.scale;
      args.low = shape_.low;
      args.high = shape_.high;
      args.scratch = scratch;
      kernel_.attend(args);
    }
  });
}

}  // namespace seaformer
