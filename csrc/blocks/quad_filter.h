// As banded_filter.h, of int8 weights on cores with dot products: the rows of the map that is never
// stored are int8 in quads, 16 bytes of four channels of four pixels, as kernels/int8_depthwise
// takes them.
//
// Rows live in a ring of kernel_size rows. Where the map is wide they are strips of it, which
// overlap by a quad on either side. Threads take bands of output rows, and each makes all the rows
// that it looks at. Padding holds the zero point.
#pragma once

#include <cstdint>

#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "blocks/row_source.h"
#include "core/parallel.h"
#include "core/pixels.h"
#include "core/workspace.h"
#include "kernels/int8_depthwise/variants.h"

namespace seaformer {

class QuadFilter {
 public:
  // Filtered pixels in the order of the output, in quads of [4 pixels][4 channels]; where the width
  // is no whole number of quads they are of one row.
  struct Chunk {
    InPixels filtered;    // stride from four pixels to the next
    InPixels unfiltered;  // the same of the map, pixel by pixel, where asked for
    int64_t first, count;
  };
  class Consumer {
   public:
    virtual ~Consumer() = default;
    virtual void finish(const Chunk&) const = 0;
  };
  struct Options {
    bool unfiltered = false;     // for stride 1
    int64_t source_scratch = 0;  // bytes a pixel of a row that the source asks for
  };

  // `packed`, of int8, begins with the expansion, if there is one, and the depthwise convolution.
  QuadFilter(const MapShape& shape, const PackedHeader& packed, int64_t threads,
             const Options& options);

  // Takes its part of the workspace; from a null one it only adds up the size.
  void take(Carver& carver);

  // Filters everything. `source` writes quads, from pixels on that are a whole number of them.
  void run(const RowSource& source, const Parallel& parallel, const Consumer& consumer) const;

  // The packed sections behind the depthwise convolution.
  const void* next_sections() const { return next_sections_; }

 private:
  struct Scratch {
    void* ring;        // [kernel_size][groups][quads of a strip]
    void* padding;     // a row
    void* chunk;       // [quads][groups]
    void* unfiltered;  // [pixels][channels]
    void* source;
  };

  int64_t row_quads() const { return strip_ * packed_.stride + 2; }
  int64_t row_bytes() const { return groups_ * group_bytes(); }
  int64_t group_bytes() const { return row_quads() * kQuadBytes; }
  Scratch take_scratch(Carver& carver) const;
  void run_strip(const RowSource& source, int64_t image, int64_t y0, int64_t y1, int64_t q0,
                 const Scratch& scratch, const Consumer& consumer) const;
  void fill_row(const RowSource& source, int64_t image, int64_t row, bool follows, int64_t q0,
                void* to, void* source_scratch) const;

  static constexpr int64_t kQuadBytes = 16;

  MapShape shape_;
  const PackedHeader& packed_;
  Options options_;
  int64_t out_height_, out_width_;
  int64_t groups_;  // of four channels, of whole panels
  int64_t bands_, workers_;
  int64_t strip_;  // quads of output that go through a ring together
  int64_t chunk_;  // quads that are handed on together
  int32_t zero_;   // of the map
  void* weights_ = nullptr;
  WorkerScratch scratch_;
  const Int8DepthwiseKernel& kernel_;
  const void *depthwise_, *next_sections_;
};

}  // namespace seaformer
