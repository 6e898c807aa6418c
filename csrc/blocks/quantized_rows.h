// Rows of a dense map of int8, expanded by a 1x1 convolution if the packed weights have one: as
// float32, whole numbers less their zero point, or as int8 in quads.
#pragma once

#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "blocks/prepared_pointwise.h"
#include "blocks/row_source.h"
#include "kernels/int8_convert/variants.h"
#include "kernels/int8_pointwise/variants.h"

namespace seaformer {

class QuantizedRows final : public RowSource {
 public:
  // `packed`, of int8, begins with the expansion, if there is one; input is [batch, height, width,
  // in_channels].
  QuantizedRows(const MapShape& shape, const PackedHeader& packed, const PreparedPointwise& expand,
                const void* input, Int8Output form = Int8Output::kInt8Float);
  // That expansion, if there is one, which is to be prepared before rows are made.
  static PreparedPointwise expansion(const PackedHeader& packed, Carver& carver);
  void fill(const Part& part, const OutPixels& to, void* scratch) const override;

 private:
  MapShape shape_;
  const PackedHeader& packed_;
  PreparedPointwise expand_;
  const void* input_;
  Int8Output form_;
  const Int8PointwiseKernel& pointwise_;
  const Int8ConvertKernel& convert_;
};

}  // namespace seaformer
