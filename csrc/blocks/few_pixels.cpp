#include "blocks/few_pixels.h"

#include <algorithm>

#include "blocks/activated.h"
#include "blocks/over_grains.h"

namespace seaformer {

FewPixels::FewPixels(Element weights, int64_t in_channels, int64_t threads)
    : element_(weights),
      in_channels_(in_channels),
      threads_(threads),
      pointwise_(pointwise_kernel()),
      widen_panel_(pointwise_kernel(weights).widen_panel) {}

float* FewPixels::take_panel(Carver& carver) const {
  const bool converts = element_ != Element::kF32;
  return carver.take<float>(converts ? packed_pointwise_floats(in_channels_, kPanel) : 0);
}

void FewPixels::take(Carver& carver) {
  scratch_ = WorkerScratch(threads_, [&](Carver& own) { take_panel(own); }, carver);
}

void FewPixels::run(const Pointwise& args, const Parallel& parallel) const {
  over_channels(args.out_channels, parallel, [&](int64_t task, int64_t begin, int64_t count) {
    Carver own = scratch_.of(task);
    run_channels(args, begin, begin + count, take_panel(own));
  });
}

void FewPixels::run_channels(const Pointwise& args, int64_t begin, int64_t end,
                             float* panel) const {
  const auto run = [&](int64_t first, int64_t last, const void* weights) {
    Pointwise part = args;
    part.weights = weights;
    part.output.data = after(args.output.data, first, Element::kF32);
    part.out_channels = last - first;
    run_activated(pointwise_, part);
  };
  const auto weights = [&](int64_t channel) {
    return after(args.weights, packed_pointwise_offset(args.in_channels, channel), element_);
  };
  if (element_ == Element::kF32) return run(begin, end, weights(begin));
  for (int64_t first = begin; first < end; first += kPanel) {
    widen_panel_(weights(first), args.in_channels, panel);
    run(first, std::min(first + kPanel, end), panel);
  }
}

}  // namespace seaformer
