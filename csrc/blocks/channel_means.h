// Means of every channel over the pixels of each image, in float32 whatever the maps are of.
#pragma once

#include <cstdint>

#include "blocks/map_shape.h"
#include "core/element.h"
#include "core/parallel.h"
#include "core/workspace.h"

namespace seaformer {

class ChannelMeans {
 public:
  // Takes its memory from `carver`; with a null one it only adds up the size.
  ChannelMeans(const MapShape& shape, int64_t channels, Element element, int64_t threads,
               Carver& carver);

  // Of dense maps to [batch][channels], which do not depend on the number of threads.
  void run(const void* input, float* means, const Parallel& parallel) const;

 private:
  struct Scratch {
    float* row;     // sums of a row of pixels
    float* pixels;  // those of a row as float32, if they are not
  };
  Scratch take_scratch(Carver& carver) const;
  void mean_pixel(const void* input, const Scratch& scratch, float* mean) const;

  const MapShape shape_;
  const int64_t channels_;
  const Element element_;
  const int64_t workers_;
  WorkerScratch scratch_;
};

}  // namespace seaformer
