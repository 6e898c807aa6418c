// Rows of the network's first layer in int8: the pixels that an output looks at, side by side, are
// the input of a 1x1 convolution, which has taken up the normalisation.
//
// Pixels are whole numbers from 0 to 255, less 128. Images of float32 are rounded to them. Around
// the image lie pixels of the mean, which are what zeros are behind a normalisation.
#pragma once

#include <cstdint>

#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "blocks/row_source.h"
#include "blocks/stem.h"
#include "kernels/int8_convert/variants.h"
#include "kernels/int8_pointwise/variants.h"

namespace seaformer {

class QuantizedStemRows final : public RowSource {
 public:
  // Bytes of scratch for each pixel of a row: its share of three rows of the image, and what it
  // looks at in them.
  static constexpr int64_t kScratch = 3 * 9 + 32;

  // Rows come out as int8, or as a banded filter or a quad filter takes them.
  QuantizedStemRows(const MapShape& shape, const PackedHeader& packed, const StemImages& images,
                    Int8Output form);

  void fill(const Part& part, const OutPixels& to, void* scratch) const override;

 private:
  void copy_row(const Part& part, int64_t row, int8_t* to) const;
  void copy_channel(const void* from, int64_t count, int c, int8_t* to) const;

  MapShape shape_;
  StemImages images_;
  Int8Output form_;
  int64_t out_channels_;
  bool raw_;  // images are not normalised
  const float *mean_, *inverse_std_;
  const void* weights_;
  const Int8PointwiseKernel& pointwise_;
  const Int8ConvertKernel& convert_;
};

}  // namespace seaformer
