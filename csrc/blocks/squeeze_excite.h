// Squeeze-and-excite: the mean of a map's pixels goes through two small fully connected layers, and
// what comes out, a number a channel, is multiplied with every pixel.
#pragma once

#include <cstdint>

#include "blocks/few_pixels.h"
#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "core/parallel.h"
#include "core/pixels.h"
#include "core/workspace.h"
#include "kernels/squeeze_excite/variants.h"

namespace seaformer {

// Of maps of hidden_channels; everything but these is float32. Sums of rows come before those of
// maps, so that nothing depends on the number of threads.
class SqueezeExcite {
 public:
  // `shape` is that of the map. Its layers begin at `sections`.
  SqueezeExcite(const MapShape& shape, const PackedHeader& packed, const void* sections,
                int64_t threads);

  // Takes its part of the workspace; from a null one it only adds up the size.
  void take(Carver& carver);

  // Before anything is added up.
  void clear() const;
  // Adds `count` pixels from pixel `first` of the map on. Different threads may add different rows;
  // of a row, pixels come in their order.
  void add_up(const InPixels& pixels, int64_t first, int64_t count) const;
  // From these sums to the factors of all images.
  void excite(const Parallel& parallel) const;
  // Multiplies pixels of an image with its factors.
  void scale(int64_t image, const OutPixels& pixels, int64_t count) const;

  // The packed sections behind its own.
  const void* next_sections() const { return next_sections_; }

 private:
  MapShape shape_;
  int64_t channels_;
  SqueezeLayers layers_;
  const void *reduce_, *expand_, *next_sections_;
  float* row_sums_ = nullptr;  // [batch][height][channels]
  float* means_ = nullptr;     // [batch][channels]
  float* squeezed_ = nullptr;  // [batch][squeezed channels]
  float* factors_ = nullptr;   // [batch][channels]
  FewPixels few_pixels_;
  const SqueezeExciteKernel& kernel_;
};

}  // namespace seaformer
