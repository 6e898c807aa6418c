// Rows of the network's first layer: normalisation, a dense 3x3 convolution of stride 2 with zero
// padding, and an activation.
//
// Where the kernel calculates in float32, float images that need no normalisation are read in
// place, but for the outputs at the edges, which look at a padded copy. Others are normalised or
// narrowed row by row into a ring of three padded rows of the kernel's type.
#pragma once

#include <cstdint>

#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "blocks/row_source.h"
#include "blocks/stem.h"
#include "core/workspace.h"
#include "kernels/stem/variants.h"

namespace seaformer {

class StemRows final : public RowSource {
 public:
  // Bytes of scratch for each pixel of a row: what an output at an edge looks at, or its share of
  // the ring.
  static constexpr int64_t kScratch = 27 * sizeof(float);

  // What all rows share: padding, and the weights of half types, which some kernels take converted.
  struct Shared {
    void *zeros, *weights;
  };
  static Shared take_shared(const MapShape& shape, const PackedHeader& packed, Carver& carver);

  // Takes it from the carver and fills it.
  StemRows(const MapShape& shape, const PackedHeader& packed, const StemImages& images,
           Carver& carver);

  void fill(const Part& part, const OutPixels& to, void* scratch) const override;

 private:
  int channels() const { return interleaved_ ? 3 : 1; }  // of a row that the kernel reads
  int planes() const { return interleaved_ ? 1 : 3; }
  const void* pixels(int64_t image, int64_t row, int64_t column, int c) const;
  template <class RowAt>
  void point_at_rows(const void** rows, int64_t y, const RowAt& row_at) const;
  void run_kernel(const void* const* rows, int64_t width, const OutPixels& to) const;
  void fill_in_place(const Part& part, const OutPixels& to, float* patch) const;
  void run_edge(const void* const* rows, int64_t x, float* patch, const OutPixels& to) const;
  void copy_row(const Part& part, int64_t row, void* to) const;
  void copy_pixels(const void* from, int64_t count, int c, void* to) const;

  MapShape shape_;
  StemImages images_;
  const StemKernel& kernel_;
  const void *zeros_, *weights_;
  int64_t out_channels_;
  Activation activation_;
  bool interleaved_, normalizes_, in_place_;
  Normalization normalization_[3];  // of each plane
};

}  // namespace seaformer
