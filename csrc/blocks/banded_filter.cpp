#include "blocks/banded_filter.h"

#include <algorithm>

#include "blocks/section_reader.h"

namespace seaformer {
namespace {

constexpr int kMaxKernel = 5;
constexpr int64_t kRingFloats = 96 * 1024;  // aimed at, of one thread: it stays in the L2
constexpr int64_t kChunkFloats = 4096;      // aimed at, of a chunk: half of a small L1
// Tiles of 4, 6 and 8 pixels all divide a chunk.
constexpr int64_t kChunkPixels = 24;

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

BandedFilter::BandedFilter(const MapShape& shape, const PackedHeader& packed, int64_t threads,
                           const Options& options)
    : shape_(shape),
      packed_(packed),
      options_(options),
      padding_(packed.kernel_size / 2),
      out_height_((shape.height - 1) / packed.stride + 1),
      out_width_((shape.width - 1) / packed.stride + 1),
      depthwise_kernel_(depthwise_kernel()) {
  seam_rows_ = options.keep_map ? 0 : packed.kernel_size - packed.stride;
  // Bands are at least as high as a seam, so that no row lies in two of them.
  const int64_t least_rows = std::max<int64_t>(divide_up(seam_rows_, packed.stride), 1);
  bands_ = std::clamp<int64_t>(out_height_ / least_rows, 1, divide_up(threads, shape.batch));
  workers_ = std::min(threads, shape.batch * bands_);
  pixel_ = spread_pixels(packed.hidden_channels);
  strip_ = out_width_;
  if (!options.keep_map) {
    const int64_t fit = kRingFloats / (packed.kernel_size * pixel_) - packed.kernel_size;
    const int64_t widest = std::max(fit / packed.stride + 1, kChunkPixels);
    strip_ = divide_up(out_width_, divide_up(out_width_, widest));
    strip_ = std::min(divide_up(strip_, 8) * 8, out_width_);
  }
  chunk_ = std::clamp<int64_t>(kChunkFloats / packed.hidden_channels / kChunkPixels, 1, 4) *
           kChunkPixels;

  SectionReader sections(packed);
  if (expands(packed)) sections.pointwise(packed.in_channels, packed.hidden_channels);
  depthwise_ = sections.depthwise(packed.hidden_channels, packed.kernel_size);
  next_sections_ = sections.rest();
}

// Columns that `outputs` output columns look at.
int64_t BandedFilter::columns(int64_t outputs) const {
  return (outputs - 1) * packed_.stride + packed_.kernel_size;
}

// Of the row of zeros: what the outputs that are filtered in one go look at.
int64_t BandedFilter::zero_floats() const { return columns(std::min(chunk_, strip_)) * pixel_; }

int64_t BandedFilter::first_output(int64_t band) const { return out_height_ * band / bands_; }

// The first input row that a band looks at, where the seam with the band before begins.
int64_t BandedFilter::first_row(int64_t band) const {
  return first_output(band) * packed_.stride - padding_;
}

void BandedFilter::take(Carver& carver) {
  const int64_t rows =
      shape_.batch * (options_.keep_map ? shape_.height : (bands_ - 1) * seam_rows_);
  rows_ = carver.take<float>(rows * columns(out_width_) * pixel_);
  zeros_ = carver.take<float>(zero_floats());
  scratch_ = WorkerScratch(workers_, [&](Carver& own) { take_scratch(own); }, carver);
}

BandedFilter::Scratch BandedFilter::take_scratch(Carver& carver) const {
  const int64_t ring = options_.keep_map ? 0 : columns(strip_);
  // Seams are made whole, for which the source may want more.
  const int64_t source = options_.keep_map || bands_ > 1 ? columns(out_width_) : ring;
  return {carver.take<float>(packed_.kernel_size * ring * pixel_),
          carver.take<float>(chunk_ * pixel_), carver.take<float>(chunk_ * options_.extra),
          carver.take<float>(source * options_.source_scratch)};
}

BandedFilter::Scratch BandedFilter::scratch_of(int64_t worker) const {
  Carver own = scratch_.of(worker);
  return take_scratch(own);
}

// Zeros the columns beyond the image, of `count` from `column` on.
void BandedFilter::clear_padding(int64_t column, int64_t count, float* row) const {
  const auto clear = [&](int64_t first, int64_t last) {
    if (first < last) std::fill_n(row + first * pixel_, (last - first) * pixel_, 0.0f);
  };
  clear(0, std::min(-column, count));
  clear(std::max<int64_t>(shape_.width - column, 0), count);
}

// Makes what the map has of `count` columns from `column` on.
void BandedFilter::fill_row(const RowSource& source, int64_t image, int64_t row, bool follows,
                            int64_t column, int64_t count, float* to,
                            const Scratch& scratch) const {
  const int64_t first = std::max<int64_t>(column, 0);
  source.fill({image, row, first, std::min(column + count, shape_.width), follows},
              to + (first - column) * pixel_, pixel_, scratch.source);
}

void BandedFilter::fill_whole_row(const RowSource& source, int64_t image, int64_t row, bool follows,
                                  float* to, const Scratch& scratch) const {
  clear_padding(-padding_, columns(out_width_), to);
  fill_row(source, image, row, follows, -padding_, columns(out_width_), to, scratch);
}

void BandedFilter::prepare(const RowSource& source, const Parallel& parallel) const {
  std::fill_n(zeros_, zero_floats(), 0.0f);
  const int64_t row_floats = columns(out_width_) * pixel_;
  if (options_.keep_map) {
    const int64_t rows = shape_.batch * shape_.height;
    parallel.run(workers_, [&](int64_t worker) {
      const int64_t begin = rows * worker / workers_, end = rows * (worker + 1) / workers_;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t row = i % shape_.height;
        fill_whole_row(source, i / shape_.height, row, i > begin && row > 0, rows_ + i * row_floats,
                       scratch_of(worker));
      }
    });
    return;
  }
  // There are fewer seams than workers.
  parallel.run(seam_rows_ > 0 ? shape_.batch * (bands_ - 1) : 0, [&](int64_t seam) {
    const int64_t top = first_row(seam % (bands_ - 1) + 1), begin = std::max<int64_t>(top, 0);
    for (int64_t row = begin; row < std::min(top + seam_rows_, shape_.height); ++row) {
      fill_whole_row(source, seam / (bands_ - 1), row, row > begin,
                     rows_ + (seam * seam_rows_ + row - top) * row_floats, scratch_of(seam));
    }
  });
}

PixelMaps BandedFilter::kept_maps() const {
  PixelMaps maps;
  maps.data = kept_row(0, 0);
  maps.shape = shape_;
  maps.channels = packed_.hidden_channels;
  maps.pixel_stride = pixel_;
  maps.row_stride = columns(out_width_) * pixel_;
  maps.image_stride = shape_.height * maps.row_stride;
  return maps;
}

const float* BandedFilter::kept_row(int64_t image, int64_t row) const {
  return rows_ + ((image * shape_.height + row) * columns(out_width_) + padding_) * pixel_;
}

void BandedFilter::run(const RowSource& source, const Parallel& parallel,
                       const Consumer& consumer) const {
  const int64_t units = shape_.batch * bands_;
  parallel.run(workers_, [&](int64_t worker) {
    const Scratch scratch = scratch_of(worker);
    for (int64_t i = units * worker / workers_; i < units * (worker + 1) / workers_; ++i) {
      for (int64_t x = 0; x < out_width_; x += strip_) {
        run_strip(source, i / bands_, i % bands_, x, std::min(x + strip_, out_width_), scratch,
                  consumer);
      }
    }
  });
}

void BandedFilter::run_strip(const RowSource& source, int64_t image, int64_t band, int64_t x0,
                             int64_t x1, const Scratch& scratch, const Consumer& consumer) const {
  const int64_t column = x0 * packed_.stride - padding_;
  const int64_t ring_row = columns(x1 - x0) * pixel_;
  const int64_t y0 = first_output(band), y1 = first_output(band + 1);
  // Rows from own_begin to own_end go through the ring, those around lie in seams.
  const int64_t own_begin = std::max<int64_t>(first_row(band) + (band > 0 ? seam_rows_ : 0), 0);
  const int64_t own_end = band + 1 < bands_ ? first_row(band + 1) : shape_.height;
  const auto in_ring = [&](int64_t row) {
    return scratch.ring + row % packed_.kernel_size * ring_row;
  };
  for (int i = 0; !options_.keep_map && i < packed_.kernel_size; ++i) {
    clear_padding(column, columns(x1 - x0), in_ring(i));
  }
  // Row `row` of the map, from `column` on; null outside of the image.
  const auto row_at = [&](int64_t row) -> const float* {
    if (row < 0 || row >= shape_.height) return nullptr;
    if (options_.keep_map) return kept_row(image, row) - padding_ * pixel_;
    if (row >= own_begin && row < own_end) return in_ring(row);
    const int64_t above = row < own_begin ? band : band + 1;  // the band that begins with it
    const int64_t seam = image * (bands_ - 1) + above - 1;
    const int64_t index = seam * seam_rows_ + row - first_row(above);
    return rows_ + (index * columns(out_width_) + column + padding_) * pixel_;
  };

  int64_t filled = own_begin;
  // Whether rows follow each other in the output.
  const bool joined = x1 - x0 == out_width_ && !options_.chunks_end_with_rows;
  int64_t waiting = 0, first_waiting = 0;  // pixels of the chunk, and where they belong
  const float* unfiltered_waiting = nullptr;
  for (int64_t y = y0; y < y1; ++y) {
    const int64_t top = y * packed_.stride - padding_;
    const int64_t needed = options_.keep_map ? 0 : std::min(top + packed_.kernel_size, own_end);
    for (; filled < needed; ++filled) {
      fill_row(source, image, filled, filled > own_begin, column, columns(x1 - x0), in_ring(filled),
               scratch);
    }
    const float* rows[kMaxKernel];
    for (int i = 0; i < packed_.kernel_size; ++i) rows[i] = row_at(top + i);
    for (int64_t x = x0; x < x1;) {
      const float* unfiltered = rows[padding_] + (x - x0 + padding_) * pixel_;
      if (waiting == 0) {
        first_waiting = (image * out_height_ + y) * out_width_ + x;
        unfiltered_waiting = unfiltered;
      }
      const int64_t count = std::min(chunk_ - waiting, x1 - x);
      filter(rows, (x - x0) * packed_.stride, count, scratch.chunk + waiting * pixel_);
      consumer.filtered(
          {image, y, x, count, {unfiltered, pixel_}, scratch.extra + waiting * options_.extra});
      waiting += count;
      x += count;
      if (waiting == chunk_ || (x == x1 && (!joined || y + 1 == y1))) {
        consumer.finish({{scratch.chunk, pixel_},
                         {unfiltered_waiting, pixel_},
                         scratch.extra,
                         first_waiting,
                         waiting});
        waiting = 0;
      }
    }
  }
}

// The depthwise convolution of `count` pixels, the first of which looks at pixel `first` of rows.
void BandedFilter::filter(const float* const* rows, int64_t first, int64_t count, float* to) const {
  const void* at[kMaxKernel];
  for (int i = 0; i < packed_.kernel_size; ++i) {
    at[i] = rows[i] == nullptr ? zeros_ : rows[i] + first * pixel_;
  }
  Depthwise args;
  args.rows = at;
  args.row_stride = pixel_ * static_cast<int64_t>(sizeof(float));
  args.weights = depthwise_;
  args.output = {to, pixel_};
  args.width = count;
  args.channels = packed_.hidden_channels;
  args.kernel_size = packed_.kernel_size;
  args.stride = packed_.stride;
  args.activation = static_cast<Activation>(packed_.depthwise_activation);
  depthwise_kernel_.run(args);
}

}  // namespace seaformer
