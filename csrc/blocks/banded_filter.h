// What inverted residuals and SEA attention have in common: a 1x1 expansion and a depthwise
// convolution of its result, without ever storing the expanded map.
//
// Rows of the expanded map live in a ring of kernel_size rows that the second-level cache holds; as
// soon as the rows of an output row are there it is computed, some pixels at a time, and handed on
// in the first-level cache. Zero columns at both ends of the ring's rows, and one row of zeros,
// stand for the padding. Threads take bands of output rows. The few expanded rows that two
// neighbouring bands both need, the seam, are made first, by all threads together.
//
// On demand the expanded map is kept instead, as a whole.
#pragma once

#include <cstdint>

#include "blocks/packed.h"
#include "blocks/pixel_maps.h"
#include "core/panel.h"
#include "core/parallel.h"
#include "core/workspace.h"
#include "kernels/depthwise/variants.h"
#include "kernels/pointwise/variants.h"

namespace seaformer {

// Floats between pixels of so many channels. A multiple of 256 bytes would put pixels on few sets
// of the first-level cache.
constexpr int64_t spread_pixels(int64_t channels) {
  return channels % 64 == 0 ? channels + kPanel : channels;
}

// All sizes from 1 up.
struct MapShape {
  int64_t batch, height, width;
};

class BandedFilter {
 public:
  // Filtered pixels of one output row, as soon as they are there.
  struct Pixels {
    int64_t image, y, x, count;
    const float* expanded;  // what the expansion made of them, `stride` apart; for stride 1
    int64_t stride;
    float* extra;  // theirs, `extra` floats each
  };
  // What becomes of filtered pixels.
  class Consumer {
   public:
    virtual ~Consumer() = default;
    virtual void filtered(const Pixels&) const {}
    // `count` pixels, `stride` apart, and what belongs to them, from output pixel `first` on.
    virtual void finish(const float* pixels, int64_t stride, float* extra, int64_t first,
                        int64_t count) const = 0;
  };

  // `packed` has the shape of the block and begins with the expansion, if there is one, and the
  // depthwise convolution; `extra` is how many floats a pixel the consumer asks for.
  BandedFilter(const MapShape& shape, const PackedHeader& packed, int64_t threads, bool keep_map,
               int64_t extra);

  // Takes its part of the workspace; from a null one it only adds up the size.
  void take(Carver& carver);

  // Expands what all bands need: the seams, or the map that is kept.
  void expand(const float* input, const Parallel& parallel) const;
  // Then filters everything.
  void run(const float* input, const Parallel& parallel, const Consumer& consumer) const;

  // The map that is kept.
  PixelMaps kept_maps() const;
  // The packed sections behind the depthwise convolution.
  const float* next_sections() const;

 private:
  struct Scratch {
    float* ring;   // [kernel_size][columns(strip)][pixel]
    float* chunk;  // [chunk][pixel]
    float* extra;  // [chunk][extra]
  };

  bool expands() const { return (packed_.flags & kPackedExpands) != 0; }
  int64_t columns(int64_t outputs) const;
  int64_t zero_floats() const;
  int64_t first_output(int64_t band) const;
  int64_t first_row(int64_t band) const;
  const float* kept_row(int64_t image, int64_t row) const;
  Scratch take_scratch(Carver& carver) const;
  void clear_padding(int64_t column, int64_t count, float* row) const;
  void expand_row(const float* input, int64_t image, int64_t row, int64_t column, int64_t count,
                  float* to) const;
  void expand_whole_row(const float* input, int64_t image, int64_t row, float* to) const;
  void run_strip(const float* input, int64_t image, int64_t band, int64_t x0, int64_t x1,
                 const Scratch& scratch, const Consumer& consumer) const;
  void filter(const float* const* rows, int64_t x, int64_t x0, int64_t count,
              const Scratch& scratch, float* to) const;
  void filter_inside(const float* const* rows, int64_t row_stride, int64_t first, int64_t count,
                     float* to) const;
  void filter_edge(const float* const* rows, int64_t x, float* patch, float* to) const;
  void run_depthwise(const float* const* rows, int64_t row_stride, int64_t count, float* to) const;

  MapShape shape_;
  const PackedHeader& packed_;
  bool keep_map_;
  int64_t padding_, out_height_, out_width_;
  int64_t bands_;      // of an image
  int64_t seam_rows_;  // expanded rows that two neighbouring bands share
  int64_t workers_;    // bands of all images are divided among them
  int64_t strip_;      // output columns for which a ring holds expanded ones
  int64_t pixel_;      // floats between pixels of expanded rows
  int64_t chunk_;      // output pixels that are handed on together
  int64_t extra_;
  float* rows_ = nullptr;   // of the seams or the map: [...][columns(out_width)][pixel]
  float* zeros_ = nullptr;  // stand for rows outside of the image
  unsigned char* scratch_ = nullptr;
  std::size_t scratch_bytes_;  // of one worker
  const DepthwiseKernel& depthwise_kernel_;
  const PointwiseKernel& pointwise_kernel_;
  const float *expand_, *depthwise_;
  float low_, high_;
};

}  // namespace seaformer
