// 1x1 convolutions of few pixels, such as means and what was attended to: in float32 whatever type
// the weights have, since float16 sums of them would lose too much, and converting weights once
// costs little. Threads share the output channels.
#pragma once

#include <cstdint>

#include "core/element.h"
#include "core/parallel.h"
#include "core/workspace.h"
#include "kernels/pointwise/variants.h"

namespace seaformer {

class FewPixels {
 public:
  // For weights of so many input channels at most.
  FewPixels(Element weights, int64_t in_channels, int64_t threads);

  // Takes its part of the workspace; from a null one it only adds up the size.
  void take(Carver& carver);

  // Maps are float32, only the weights are of the type.
  void run(const Pointwise& args, const Parallel& parallel) const;

 private:
  float* take_panel(Carver& carver) const;
  void run_channels(const Pointwise& args, int64_t begin, int64_t end, float* panel) const;

  Element element_;
  int64_t in_channels_, threads_;
  WorkerScratch scratch_;  // the weights of a panel as float32, of each
  const PointwiseKernel& pointwise_;
  void (*const widen_panel_)(const void* packed, int64_t in_channels, float* to);
};

}  // namespace seaformer
