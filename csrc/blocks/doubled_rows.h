// Rows of a dense map in memory, resized to twice its height and width: bilinear, half-pixel
// centres.
#pragma once

#include "blocks/map_shape.h"
#include "blocks/row_source.h"
#include "core/resize_axis.h"
#include "core/workspace.h"
#include "kernels/bilinear/variants.h"

namespace seaformer {

inline MapShape doubled(const MapShape& shape) {
  return {shape.batch, 2 * shape.height, 2 * shape.width};
}

class DoubledRows final : public RowSource {
 public:
  // Of [batch, height, width, channels]; takes what all threads share from `carver`. The scratch
  // has `channels` elements a pixel.
  DoubledRows(const MapShape& shape, int64_t channels, Element element, const void* input,
              Carver& carver);
  void fill(const Part& part, const OutPixels& to, void* scratch) const override;

 private:
  MapShape shape_;
  int64_t channels_;
  Element element_;
  const void* input_;
  ResizeAxis vertical_, horizontal_;
  const BilinearKernel& kernel_;
};

}  // namespace seaformer
