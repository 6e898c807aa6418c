// What inverted residuals and SEA attention have in common: a depthwise convolution of a map that
// is never stored, as its rows are made when they are needed: by a 1x1 expansion, for example.
//
// Rows live in a ring of kernel_size rows that the second-level cache holds; as soon as the rows of
// an output row are there it is computed, some pixels at a time, and handed on in the first-level
// cache. Zero columns at both ends of the ring's rows, and one row of zeros, stand for the padding.
// Threads take bands of output rows. The few rows that two neighbouring bands both need, the seam,
// are made first, by all threads together.
//
// On demand the map is kept instead, as a whole.
//
// Of int8 weights the map is of float32: whole numbers, less their zero point, whose sums of
// products float32 holds exactly. What is filtered are these, as core/quantized.h has them, without
// multiplier and activation.
#pragma once

#include <cstdint>

#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "blocks/pixel_maps.h"
#include "blocks/row_source.h"
#include "blocks/window.h"
#include "core/panel.h"
#include "core/parallel.h"
#include "core/pixels.h"
#include "core/workspace.h"
#include "kernels/depthwise/variants.h"
#include "kernels/pointwise/variants.h"

namespace seaformer {

// Elements between pixels of so many channels. A multiple of 256 bytes would put pixels on few sets
// of the first-level cache.
constexpr int64_t spread_pixels(int64_t channels, Element element) {
  return channels * bytes_of(element) % 256 == 0 ? channels + 64 / bytes_of(element) : channels;
}

class BandedFilter {
 public:
  // Filtered pixels of one output row, as soon as they are there.
  struct Pixels {
    int64_t image, y, x, count;
    InPixels unfiltered;  // the same of the map; for stride 1
    OutPixels extra;      // theirs
  };
  // Some more of them, in the order of the output.
  struct Chunk {
    InPixels filtered;
    InPixels unfiltered;  // as in Pixels, if chunks end with rows
    OutPixels extra;
    int64_t first, count;  // the output pixel where they begin, and their number
  };
  // What becomes of filtered pixels.
  class Consumer {
   public:
    virtual ~Consumer() = default;
    virtual void filtered(const Pixels&) const {}
    virtual void finish(const Chunk&) const = 0;
  };
  struct Options {
    bool keep_map = false;
    bool keep_filtered = false;  // in the order of the output; chunks are parts of it
    bool chunks_end_with_rows = false;
    int64_t extra = 0;           // elements a pixel that the consumer asks for
    int64_t source_scratch = 0;  // bytes a pixel of a row that the source asks for
  };

  // `packed` has the shape of the block and begins with the expansion, if there is one, and the
  // depthwise convolution.
  BandedFilter(const MapShape& shape, const PackedHeader& packed, int64_t threads,
               const Options& options);

  // Takes its part of the workspace; from a null one it only adds up the size.
  void take(Carver& carver);

  // Makes what all bands need: the seams, or the map that is kept.
  void prepare(const RowSource& source, const Parallel& parallel) const;
  // Then filters everything.
  void run(const RowSource& source, const Parallel& parallel, const Consumer& consumer) const;

  // The map that is kept.
  PixelMaps kept_maps() const;
  // What was filtered, from output pixel `first` on, if it is kept.
  OutPixels kept_filtered(int64_t first) const {
    return {after(filtered_, first * pixel_, element_), pixel_, element_};
  }
  // The packed sections behind the depthwise convolution.
  const void* next_sections() const { return next_sections_; }

 private:
  struct Scratch {
    void* ring;    // [kernel_size][columns(strip)][pixel]
    void* chunk;   // [chunk][pixel], unless what was filtered is kept
    void* extra;   // [chunk][extra]
    void* source;  // [columns(strip)][source_scratch]
  };

  int64_t columns(int64_t outputs) const;
  int64_t zero_pixels() const;
  int64_t first_output(int64_t band) const;
  int64_t first_row(int64_t band) const;
  const void* kept_row(int64_t image, int64_t row) const;
  Scratch take_scratch(Carver& carver) const;
  Scratch scratch_of(int64_t worker) const;
  const void* pixel(const void* first, int64_t pixels) const;
  void* pixel(void* first, int64_t pixels) const;
  void clear(void* first, int64_t pixels) const;
  void clear_padding(int64_t column, int64_t count, void* row) const;
  void fill_row(const RowSource& source, int64_t image, int64_t row, bool follows, int64_t column,
                int64_t count, void* to, const Scratch& scratch) const;
  void fill_whole_row(const RowSource& source, int64_t image, int64_t row, bool follows, void* to,
                      const Scratch& scratch) const;
  void run_strip(const RowSource& source, int64_t image, int64_t band, int64_t x0, int64_t x1,
                 const Scratch& scratch, const Consumer& consumer) const;
  void widen_depthwise(float* to) const;
  void filter(const void* const* rows, int64_t first, int64_t count, void* to) const;

  MapShape shape_;
  const PackedHeader& packed_;
  Options options_;
  const int64_t top_, left_;  // padding before the map; at stride 1 half of the kernel
  const int64_t out_height_, out_width_;
  int64_t bands_;      // of an image
  int64_t seam_rows_;  // rows that two neighbouring bands share
  int64_t workers_;    // bands of all images are divided among them
  int64_t strip_;      // output columns that go through a ring together
  Element element_;
  int64_t pixel_;             // elements between pixels of rows
  int64_t chunk_;             // output pixels that are handed on together
  void* rows_ = nullptr;      // of the seams or the map: [...][columns(out_width)][pixel]
  void* filtered_ = nullptr;  // what is kept: [output pixels][pixel]
  void* zeros_ = nullptr;     // stand for rows outside of the image
  WorkerScratch scratch_;
  const DepthwiseKernel& depthwise_kernel_;
  const void *depthwise_, *next_sections_;
  float* widened_ = nullptr;  // the weights of int8 as those of float32
};

}  // namespace seaformer
