// Rows of the network's first layer: normalisation, a dense 3x3 convolution of stride 2 with zero
// padding, and ReLU.
//
// Float images that need no normalisation are read in place, but for the outputs at the edges,
// which look at a padded copy. Others are normalised row by row into a ring of three padded rows.
#pragma once

#include <cstdint>

#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "blocks/row_source.h"
#include "blocks/stem.h"
#include "kernels/stem/variants.h"

namespace seaformer {

class StemRows final : public RowSource {
 public:
  // Bytes of scratch for each pixel of a row: what an output at an edge looks at, or its share of
  // the ring.
  static constexpr int64_t kScratch = 27 * sizeof(float);

  // `zeros` has zero_floats(shape) floats.
  StemRows(const MapShape& shape, const PackedHeader& packed, const StemImages& images,
           const float* zeros);
  static int64_t zero_floats(const MapShape& shape) { return 3 * (shape.width + 2); }

  void fill(const Part& part, const OutPixels& to, void* scratch) const override;

 private:
  int channels() const { return interleaved_ ? 3 : 1; }  // of a row that the kernel reads
  int planes() const { return interleaved_ ? 1 : 3; }
  int64_t element(int64_t image, int64_t row, int c) const;
  template <class RowAt>
  void point_at_rows(const float** rows, int64_t y, const RowAt& row_at) const;
  void run_kernel(const float* const* rows, int64_t width, const OutPixels& to) const;
  void fill_in_place(const Part& part, const OutPixels& to, float* patch) const;
  void run_edge(const float* const* rows, int64_t x, float* patch, const OutPixels& to) const;
  void normalize_row(const Part& part, int64_t row, float* to) const;

  MapShape shape_;
  StemImages images_;
  const float* zeros_;
  const StemKernel& kernel_;
  const void* weights_;
  int64_t out_channels_;
  bool interleaved_, in_place_;
  Normalization normalization_[3];  // of each plane
};

}  // namespace seaformer
