// Rows of a dense map in memory, expanded by a 1x1 convolution if the packed weights have one.
#pragma once

#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "blocks/row_source.h"
#include "kernels/pointwise/variants.h"

namespace seaformer {

class InputRows final : public RowSource {
 public:
  // `packed` begins with the expansion, if there is one; input is [batch, height, width,
  // in_channels].
  InputRows(const MapShape& shape, const PackedHeader& packed, const void* input);
  void fill(const Part& part, const OutPixels& to, void* scratch) const override;

 private:
  MapShape shape_;
  const PackedHeader& packed_;
  const void* input_;
  const PointwiseKernel& kernel_;
};

}  // namespace seaformer
