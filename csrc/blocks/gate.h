// What the blocks of the segmentation head share: pixels of a local map gated by a coarser one,
//   (Wl local + bl) * resize(hardsigmoid(Wg coarse + bg)),   the resize bilinear, half-pixel
//   centres.
#pragma once

#include <cstdint>

#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "blocks/prepared_pointwise.h"
#include "core/resize_axis.h"
#include "core/workspace.h"
#include "kernels/bilinear/variants.h"
#include "kernels/pointwise/variants.h"

namespace seaformer {

struct GateShape {
  MapShape local;   // and that of the output
  MapShape coarse;  // of as large a batch
};

// Pixels that blocks take at a time; the tiles of every kernel divide it.
constexpr int64_t kGateChunk = 24;

class Gate {
 public:
  // Of dense maps of in_channels and hidden_channels. `packed` begins with the two convolutions.
  // Takes what all threads share from `carver`.
  Gate(const GateShape& shape, const PackedHeader& packed, const void* local, const void* coarse,
       Carver& carver);

  // Before the first row is made.
  void prepare() const;

  // What one thread needs: coarse rows, made when an output row first looks at them.
  struct Rows {
    void* gates[2];
    int64_t held[2];  // which coarse rows they are, counted through all images; or -1
    void* blended;    // the gates of an output row, at coarse columns
  };
  Rows take_rows(Carver& carver) const;

  // Output rows are counted through all images.
  int64_t row_count() const { return shape_.local.batch * shape_.local.height; }

  // Makes the gates of an output row.
  void enter_row(int64_t row, Rows& rows) const;

  // Writes columns [begin, end) of the row that was entered, densely. A shift [out_channels] that
  // is not null is added behind the product, and the sum rectified. Of int8 maps it writes float32,
  // in the units of the int8 map that is to be made of it.
  void pixels(int64_t row, int64_t begin, int64_t end, const Rows& rows, const float* shift,
              void* output) const;

  // The packed sections behind the convolutions.
  const void* next_sections() const { return next_sections_; }

 private:
  struct Convolution {
    int64_t in_channels;
    const void* weights;
    PreparedPointwise prepared;  // of int8
  };
  void convolve(const Convolution& convolution, const void* input, int64_t pixels,
                const OutPixels& output, Activation activation) const;
  // The slot that holds a coarse row, after filling the one that does not hold `keep`.
  int hold(int64_t coarse_row, int64_t keep, Rows& rows) const;

  const GateShape& shape_;
  const PackedHeader& packed_;
  const Element element_;  // of what it writes
  const void *local_, *coarse_;
  Convolution of_local_, of_coarse_;
  const void* next_sections_;
  ResizeAxis vertical_, horizontal_;
  const BilinearKernel& bilinear_;
  const PointwiseKernel& pointwise_;
};

}  // namespace seaformer
