#include "blocks/quad_filter.h"

#include <algorithm>
#include <cstring>

#include "blocks/section_reader.h"
#include "kernels/int8_convert/variants.h"
#include "kernels/int8_pointwise/variants.h"

namespace seaformer {
namespace {

constexpr int kMaxKernel = 5;
constexpr int64_t kRingBytes = 256 * 1024;  // aimed at, of one thread: it stays in the L2
constexpr int64_t kChunkBytes = 8 * 1024;   // aimed at, of a chunk: a part of a small L1

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

QuadFilter::QuadFilter(const MapShape& shape, const PackedHeader& packed, int64_t threads,
                       const Options& options)
    : shape_(shape),
      packed_(packed),
      options_(options),
      out_height_((shape.height - 1) / packed.stride + 1),
      out_width_((shape.width - 1) / packed.stride + 1),
      groups_(panels(packed.hidden_channels) * kPanel / kInt8Quad),
      kernel_(int8_depthwise_kernel()) {
  bands_ = std::clamp<int64_t>(out_height_, 1, divide_up(threads, shape.batch));
  workers_ = std::min(threads, shape.batch * bands_);
  const int64_t quads = divide_up(out_width_, kInt8Quad);
  const int64_t fit = kRingBytes / (packed.kernel_size * groups_ * kQuadBytes) - 2;
  strip_ = divide_up(quads, divide_up(quads, std::max<int64_t>(fit / packed.stride, 8)));
  chunk_ = std::clamp<int64_t>(kChunkBytes / (groups_ * kQuadBytes), 4, 32);
  SectionReader sections(packed);
  sections.quantized_numbers();
  zero_ = input_type(packed).zero;
  if (expands(packed)) {
    sections.pointwise(packed.in_channels, packed.hidden_channels);
    zero_ = zero_point(static_cast<Activation>(packed.expand_activation));
  }
  depthwise_ = sections.depthwise(packed.hidden_channels, packed.kernel_size);
  next_sections_ = sections.rest();
}

void QuadFilter::take(Carver& carver) {
  const Int8DepthwiseShape shape{packed_.hidden_channels, packed_.kernel_size, packed_.stride};
  weights_ = carver.take<unsigned char>(kernel_.prepared_bytes(shape));
  scratch_ = WorkerScratch(workers_, [&](Carver& own) { take_scratch(own); }, carver);
}

QuadFilter::Scratch QuadFilter::take_scratch(Carver& carver) const {
  const int64_t unfiltered = chunk_ * kInt8Quad * packed_.hidden_channels;
  const auto take = [&](int64_t bytes) { return carver.take<unsigned char>(bytes); };
  return {take(packed_.kernel_size * row_bytes()), take(row_bytes()),
          take(chunk_ * groups_ * kQuadBytes), take(options_.unfiltered ? unfiltered : 0),
          take(options_.source_scratch * row_quads() * kInt8Quad)};
}

void QuadFilter::run(const RowSource& source, const Parallel& parallel,
                     const Consumer& consumer) const {
  kernel_.prepare({packed_.hidden_channels, packed_.kernel_size, packed_.stride}, depthwise_, zero_,
                  weights_);
  const int64_t units = shape_.batch * bands_, quads = divide_up(out_width_, kInt8Quad);
  parallel.run(workers_, [&](int64_t worker) {
    Carver own = scratch_.of(worker);
    const Scratch scratch = take_scratch(own);
    const auto bytes = static_cast<std::size_t>(row_bytes());
    std::memset(scratch.padding, zero_, bytes);
    // Quads beyond the image are never written.
    std::memset(scratch.ring, zero_, static_cast<std::size_t>(packed_.kernel_size) * bytes);
    for (int64_t i = units * worker / workers_; i < units * (worker + 1) / workers_; ++i) {
      const int64_t band = i % bands_;
      for (int64_t q = 0; q < quads; q += strip_) {
        run_strip(source, i / bands_, out_height_ * band / bands_,
                  out_height_ * (band + 1) / bands_, q, scratch, consumer);
      }
    }
  });
}

// Makes the quads that a strip looks at, from the one before its first on.
void QuadFilter::fill_row(const RowSource& source, int64_t image, int64_t row, bool follows,
                          int64_t q0, void* to, void* source_scratch) const {
  const int64_t first = (q0 * packed_.stride - 1) * kInt8Quad;
  const int64_t last = std::min(first + row_quads() * kInt8Quad, shape_.width);
  const int64_t begin = std::max<int64_t>(first, 0), skipped = (begin - first) / kInt8Quad;
  OutPixels quads;
  quads.data = after(to, skipped * kQuadBytes);
  quads.stride = group_bytes();
  source.fill({image, row, begin, last, follows}, quads, source_scratch);
}

void QuadFilter::run_strip(const RowSource& source, int64_t image, int64_t y0, int64_t y1,
                           int64_t q0, const Scratch& scratch, const Consumer& consumer) const {
  const int size = packed_.kernel_size;
  const int64_t stride = packed_.stride, padding = size / 2;
  const int64_t x0 = q0 * kInt8Quad, x1 = std::min(x0 + strip_ * kInt8Quad, out_width_);
  const auto in_ring = [&](int64_t row) { return after(scratch.ring, row % size * row_bytes()); };
  if (x1 * stride + kInt8Quad > shape_.width) {  // other strips have been where there is padding
    std::memset(scratch.ring, zero_, static_cast<std::size_t>(size * row_bytes()));
  } else if (q0 == 0) {
    for (int64_t i = 0; i < size * groups_; ++i) {
      std::memset(after(scratch.ring, i * group_bytes()), zero_, kQuadBytes);
    }
  }
  // Rows follow each other in the output, and end with whole quads.
  const bool joined = x1 - x0 == out_width_ && out_width_ % kInt8Quad == 0;
  const int64_t pixel_quads = groups_ * kQuadBytes;
  int64_t filled = std::max<int64_t>(y0 * stride - padding, 0);
  const int64_t first_filled = filled;
  int64_t waiting = 0, waiting_pixels = 0, first_waiting = 0;  // quads of the chunk, and pixels
  for (int64_t y = y0; y < y1; ++y) {
    const int64_t top = y * stride - padding;
    for (; filled < std::min(top + size, shape_.height); ++filled) {
      fill_row(source, image, filled, filled > first_filled, q0, in_ring(filled), scratch.source);
    }
    for (int64_t x = x0; x < x1;) {
      if (waiting == 0) first_waiting = (image * out_height_ + y) * out_width_ + x;
      const int64_t quads = std::min(chunk_ - waiting, divide_up(x1 - x, kInt8Quad));
      const int64_t pixels = std::min(quads * kInt8Quad, x1 - x);
      // Behind the quad before the strip.
      const int64_t at = ((x - x0) / kInt8Quad * stride + 1) * kQuadBytes;
      const void* rows[kMaxKernel];
      for (int i = 0; i < size; ++i) {
        const int64_t row = top + i;
        const bool inside = row >= 0 && row < shape_.height;
        rows[i] = after(inside ? in_ring(row) : scratch.padding, at);
      }
      Int8Depthwise args;
      args.rows = rows;
      args.row_stride = group_bytes();
      args.weights = weights_;
      args.output.data = after(scratch.chunk, waiting * pixel_quads);
      args.output.stride = pixel_quads;
      args.width = pixels;
      args.channels = packed_.hidden_channels;
      args.kernel_size = size;
      args.stride = packed_.stride;
      args.zero = zero_point(static_cast<Activation>(packed_.depthwise_activation));
      kernel_.run(args);
      const int64_t channels = packed_.hidden_channels;
      if (options_.unfiltered) {
        int8_convert_kernel().from_quads(
            rows[padding], group_bytes(), pixels, channels,
            static_cast<int8_t*>(scratch.unfiltered) + waiting_pixels * channels);
      }
      waiting += quads, waiting_pixels += pixels;
      x += pixels;
      if (waiting == chunk_ || (x == x1 && (!joined || y + 1 == y1))) {
        Chunk chunk;
        chunk.filtered.data = scratch.chunk;
        chunk.filtered.stride = pixel_quads;
        chunk.unfiltered = {static_cast<const int8_t*>(scratch.unfiltered), channels};
        chunk.first = first_waiting;
        chunk.count = waiting_pixels;
        consumer.finish(chunk);
        waiting = waiting_pixels = 0;
      }
    }
  }
}

}  // namespace seaformer
