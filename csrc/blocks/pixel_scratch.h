// What a worker of a pooling needs: pixels as float32.
#pragma once

#include "core/element.h"
#include "core/workspace.h"
#include "kernels/convert/convert.h"

namespace seaformer {

// A pixel that is read, and what is gathered of several.
struct PixelScratch {
  PixelScratch(int64_t channels, Carver& carver)
      : pixel(carver.take<float>(channels)), sum(carver.take<float>(channels)) {}

  static WorkerScratch of_workers(int64_t channels, int64_t workers, Carver& carver) {
    return {workers, [&](Carver& own) { PixelScratch(channels, own); }, carver};
  }

  // A pixel of any type: where it lies, or a copy.
  const float* widened(const void* from, Element element, const ConvertKernel& convert,
                       int64_t channels) const {
    if (element == Element::kF32) return static_cast<const float*>(from);
    convert.widen(from, channels, pixel);
    return pixel;
  }

  float *const pixel, *const sum;
};

}  // namespace seaformer
