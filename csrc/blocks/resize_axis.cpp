#include "blocks/resize_axis.h"

#include <algorithm>
#include <cmath>

namespace seaformer {
namespace {

// Sources from one output to the next.
float source_step(int64_t in, int64_t out, bool align_corners) {
  if (!align_corners) return static_cast<float>(in) / static_cast<float>(out);
  return out > 1 ? static_cast<float>(in - 1) / static_cast<float>(out - 1) : 0.0f;
}

// Where an output lies between the sources. torch's sum is a fused one too.
float source_at(int64_t i, float step, bool align_corners) {
  const float output = static_cast<float>(i);
  if (align_corners) return step * output;
  return std::max(std::fma(step, output + 0.5f, -0.5f), 0.0f);
}

}  // namespace

ResizeAxis make_resize_axis(int64_t in, int64_t out, Carver& carver, bool align_corners) {
  ResizeRun* const runs = carver.take<ResizeRun>(std::min(in, out));
  float* const low_weight = carver.take<float>(out + kWeightPadding);
  float* const high_weight = carver.take<float>(out + kWeightPadding);
  ResizeAxis axis{runs, 0, low_weight, high_weight};
  if (runs == nullptr) return axis;

  const float step = source_step(in, out, align_corners);
  for (int64_t i = 0; i < out; ++i) {
    int64_t low = i, high = i;
    float weight = 0.0f;
    if (in != out) {
      const float source = source_at(i, step, align_corners);
      low = std::min(static_cast<int64_t>(source), in - 1);
      high = std::min(low + 1, in - 1);
      weight = std::min(std::max(source - static_cast<float>(low), 0.0f), 1.0f);
    }
    low_weight[i] = 1.0f - weight;
    high_weight[i] = weight;
    if (axis.run_count > 0 && runs[axis.run_count - 1].low == low) {
      runs[axis.run_count - 1].end = i + 1;
    } else {
      runs[axis.run_count++] = {low, high, i, i + 1};
    }
  }
  std::fill_n(low_weight + out, kWeightPadding, low_weight[out - 1]);
  std::fill_n(high_weight + out, kWeightPadding, high_weight[out - 1]);
  return axis;
}

const ResizeRun* find_run(const ResizeAxis& axis, int64_t output) {
  return std::partition_point(axis.runs, axis.runs + axis.run_count,
                              [output](const ResizeRun& run) { return run.end <= output; });
}

}  // namespace seaformer
