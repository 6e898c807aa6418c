#include "blocks/banded_filter.h"

#include <algorithm>
#include <cstring>

#include "blocks/activated.h"
#include "blocks/section_reader.h"
#include "kernels/int8_convert/variants.h"

namespace seaformer {
namespace {

constexpr int kMaxKernel = 7;
constexpr int64_t kRingBytes = 384 * 1024;  // aimed at, of one thread: it stays in the L2
constexpr int64_t kChunkBytes = 16 * 1024;  // aimed at, of a chunk: half of a small L1
// Tiles of 4, 6 and 8 pixels all divide a chunk.
constexpr int64_t kChunkPixels = 24;

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

BandedFilter::BandedFilter(const MapShape& shape, const PackedHeader& packed, int64_t threads,
                           const Options& options)
    : shape_(shape),
      packed_(packed),
      options_(options),
      top_(depthwise_axis(packed).before(shape.height)),
      left_(depthwise_axis(packed).before(shape.width)),
      out_height_(depthwise_axis(packed).out(shape.height)),
      out_width_(depthwise_axis(packed).out(shape.width)),
      element_(is_int8(packed) ? Element::kF32 : element_of(packed)),
      depthwise_kernel_(depthwise_kernel(element_)) {
  seam_rows_ = options.keep_map ? 0 : packed.kernel_size - packed.stride;
  // Bands are at least as high as a seam, so that no row lies in two of them.
  const int64_t least_rows = std::max<int64_t>(divide_up(seam_rows_, packed.stride), 1);
  bands_ = std::clamp<int64_t>(out_height_ / least_rows, 1, divide_up(threads, shape.batch));
  workers_ = std::min(threads, shape.batch * bands_);
  pixel_ = spread_pixels(packed.hidden_channels, element_);
  strip_ = out_width_;
  if (!options.keep_map) {
    const int64_t fit =
        kRingBytes / (packed.kernel_size * pixel_ * bytes_of(element_)) - packed.kernel_size;
    const int64_t widest = std::max(fit / packed.stride + 1, kChunkPixels);
    strip_ = divide_up(out_width_, divide_up(out_width_, widest));
    strip_ = std::min(divide_up(strip_, 8) * 8, out_width_);
  }
  const int64_t fit = kChunkBytes / (packed.hidden_channels * bytes_of(element_));
  chunk_ = std::clamp<int64_t>(fit / kChunkPixels, 1, 4) * kChunkPixels;

  SectionReader sections(packed);
  if (is_int8(packed)) sections.quantized_numbers();
  if (expands(packed)) sections.pointwise(packed.in_channels, packed.hidden_channels);
  depthwise_ = sections.depthwise(packed.hidden_channels, packed.kernel_size);
  next_sections_ = sections.rest();
}

// Columns that `outputs` output columns look at.
int64_t BandedFilter::columns(int64_t outputs) const {
  return (outputs - 1) * packed_.stride + packed_.kernel_size;
}

// Of the row of zeros: what the outputs that are filtered in one go look at.
int64_t BandedFilter::zero_pixels() const { return columns(std::min(chunk_, strip_)); }

int64_t BandedFilter::first_output(int64_t band) const { return out_height_ * band / bands_; }

// The first input row that a band looks at, where the seam with the band before begins.
int64_t BandedFilter::first_row(int64_t band) const {
  return first_output(band) * packed_.stride - top_;
}

void BandedFilter::take(Carver& carver) {
  const int64_t rows =
      shape_.batch * (options_.keep_map ? shape_.height : (bands_ - 1) * seam_rows_);
  rows_ = carver.take(rows * columns(out_width_) * pixel_, element_);
  const int64_t kept = options_.keep_filtered ? shape_.batch * out_height_ * out_width_ : 0;
  filtered_ = carver.take(kept * pixel_, element_);
  zeros_ = carver.take(zero_pixels() * pixel_, element_);
  const bool widens = is_int8(packed_);
  widened_ = carver.take<float>(
      widens ? packed_depthwise_floats(packed_.hidden_channels, packed_.kernel_size) : 0);
  scratch_ = WorkerScratch(workers_, [&](Carver& own) { take_scratch(own); }, carver);
}

BandedFilter::Scratch BandedFilter::take_scratch(Carver& carver) const {
  const int64_t ring = options_.keep_map ? 0 : columns(strip_);
  // Seams are made whole, for which the source may want more.
  const int64_t source = options_.keep_map || bands_ > 1 ? columns(out_width_) : ring;
  return {carver.take(packed_.kernel_size * ring * pixel_, element_),
          carver.take(options_.keep_filtered ? 0 : chunk_ * pixel_, element_),
          carver.take(chunk_ * options_.extra, element_),
          carver.take<unsigned char>(source * options_.source_scratch)};
}

BandedFilter::Scratch BandedFilter::scratch_of(int64_t worker) const {
  Carver own = scratch_.of(worker);
  return take_scratch(own);
}

const void* BandedFilter::pixel(const void* first, int64_t pixels) const {
  return after(first, pixels * pixel_, element_);
}
void* BandedFilter::pixel(void* first, int64_t pixels) const {
  return after(first, pixels * pixel_, element_);
}

// Zeros of every element type have no bit set.
void BandedFilter::clear(void* first, int64_t pixels) const {
  std::memset(first, 0, static_cast<std::size_t>(pixels * pixel_ * bytes_of(element_)));
}

// Zeros the columns beyond the image, of `count` from `column` on.
void BandedFilter::clear_padding(int64_t column, int64_t count, void* row) const {
  const auto clear_from = [&](int64_t first, int64_t last) {
    if (first < last) clear(pixel(row, first), last - first);
  };
  clear_from(0, std::min(-column, count));
  clear_from(std::max<int64_t>(shape_.width - column, 0), count);
}

// Makes what the map has of `count` columns from `column` on.
void BandedFilter::fill_row(const RowSource& source, int64_t image, int64_t row, bool follows,
                            int64_t column, int64_t count, void* to, const Scratch& scratch) const {
  const int64_t first = std::max<int64_t>(column, 0);
  source.fill({image, row, first, std::min(column + count, shape_.width), follows},
              {pixel(to, first - column), pixel_, element_}, scratch.source);
}

void BandedFilter::fill_whole_row(const RowSource& source, int64_t image, int64_t row, bool follows,
                                  void* to, const Scratch& scratch) const {
  clear_padding(-left_, columns(out_width_), to);
  fill_row(source, image, row, follows, -left_, columns(out_width_), to, scratch);
}

void BandedFilter::prepare(const RowSource& source, const Parallel& parallel) const {
  clear(zeros_, zero_pixels());
  if (is_int8(packed_)) widen_depthwise(widened_);
  const int64_t row_pixels = columns(out_width_);
  if (options_.keep_map) {
    const int64_t rows = shape_.batch * shape_.height;
    parallel.run(workers_, [&](int64_t worker) {
      const int64_t begin = rows * worker / workers_, end = rows * (worker + 1) / workers_;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t row = i % shape_.height;
        fill_whole_row(source, i / shape_.height, row, i > begin && row > 0,
                       pixel(rows_, i * row_pixels), scratch_of(worker));
      }
    });
    return;
  }
  // There are fewer seams than workers.
  parallel.run(seam_rows_ > 0 ? shape_.batch * (bands_ - 1) : 0, [&](int64_t seam) {
    const int64_t top = first_row(seam % (bands_ - 1) + 1), begin = std::max<int64_t>(top, 0);
    for (int64_t row = begin; row < std::min(top + seam_rows_, shape_.height); ++row) {
      fill_whole_row(source, seam / (bands_ - 1), row, row > begin,
                     pixel(rows_, (seam * seam_rows_ + row - top) * row_pixels), scratch_of(seam));
    }
  });
}

PixelMaps BandedFilter::kept_maps() const {
  PixelMaps maps;
  maps.data = kept_row(0, 0);
  maps.element = element_;
  maps.shape = shape_;
  maps.channels = packed_.hidden_channels;
  maps.pixel_stride = pixel_;
  maps.row_stride = columns(out_width_) * pixel_;
  maps.image_stride = shape_.height * maps.row_stride;
  return maps;
}

const void* BandedFilter::kept_row(int64_t image, int64_t row) const {
  return pixel(rows_, (image * shape_.height + row) * columns(out_width_) + left_);
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
  const int64_t column = x0 * packed_.stride - left_;
  const int64_t y0 = first_output(band), y1 = first_output(band + 1);
  // Rows from own_begin to own_end go through the ring, those around lie in seams.
  const int64_t own_begin = std::max<int64_t>(first_row(band) + (band > 0 ? seam_rows_ : 0), 0);
  const int64_t own_end = band + 1 < bands_ ? first_row(band + 1) : shape_.height;
  const auto in_ring = [&](int64_t row) {
    return pixel(scratch.ring, row % packed_.kernel_size * columns(x1 - x0));
  };
  for (int i = 0; !options_.keep_map && i < packed_.kernel_size; ++i) {
    clear_padding(column, columns(x1 - x0), in_ring(i));
  }
  // Row `row` of the map, from `column` on; null outside of the image.
  const auto row_at = [&](int64_t row) -> const void* {
    if (row < 0 || row >= shape_.height) return nullptr;
    if (options_.keep_map) return pixel(kept_row(image, row), -left_);
    if (row >= own_begin && row < own_end) return in_ring(row);
    const int64_t above = row < own_begin ? band : band + 1;  // the band that begins with it
    const int64_t seam = image * (bands_ - 1) + above - 1;
    const int64_t index = seam * seam_rows_ + row - first_row(above);
    return pixel(rows_, index * columns(out_width_) + column + left_);
  };

  int64_t filled = own_begin;
  // Whether rows follow each other in the output.
  const bool joined = x1 - x0 == out_width_ && !options_.chunks_end_with_rows;
  int64_t waiting = 0, first_waiting = 0;  // pixels of the chunk, and where they belong
  const void* unfiltered_waiting = nullptr;
  for (int64_t y = y0; y < y1; ++y) {
    const int64_t top = y * packed_.stride - top_;
    const int64_t needed = options_.keep_map ? 0 : std::min(top + packed_.kernel_size, own_end);
    for (; filled < needed; ++filled) {
      fill_row(source, image, filled, filled > own_begin, column, columns(x1 - x0), in_ring(filled),
               scratch);
    }
    const void* rows[kMaxKernel];
    for (int i = 0; i < packed_.kernel_size; ++i) rows[i] = row_at(top + i);
    for (int64_t x = x0; x < x1;) {
      const void* unfiltered = pixel(rows[top_], x - x0 + left_);
      if (waiting == 0) {
        first_waiting = (image * out_height_ + y) * out_width_ + x;
        unfiltered_waiting = unfiltered;
      }
      const int64_t count = std::min(chunk_ - waiting, x1 - x);
      void* const chunk = options_.keep_filtered ? pixel(filtered_, first_waiting) : scratch.chunk;
      filter(rows, (x - x0) * packed_.stride, count, pixel(chunk, waiting));
      consumer.filtered(
          {image,
           y,
           x,
           count,
           {unfiltered, pixel_, element_},
           {after(scratch.extra, waiting * options_.extra, element_), options_.extra, element_}});
      waiting += count;
      x += count;
      if (waiting == chunk_ || (x == x1 && (!joined || y + 1 == y1))) {
        consumer.finish({{chunk, pixel_, element_},
                         {unfiltered_waiting, pixel_, element_},
                         {scratch.extra, options_.extra, element_},
                         first_waiting,
                         waiting});
        waiting = 0;
      }
    }
  }
}

// As packed weights of float32, whose biases are the numbers that sums begin with.
void BandedFilter::widen_depthwise(float* to) const {
  const int64_t taps = int64_t{packed_.kernel_size} * packed_.kernel_size;
  const auto* panel = static_cast<const unsigned char*>(depthwise_);
  for (int64_t i = 0; i < panels(packed_.hidden_channels); ++i) {
    std::memcpy(to, panel, kPanel * sizeof(float));
    panel += kInt8PanelArrays * kPanel * int64_t{sizeof(float)};
    int8_convert_kernel().dequantize(reinterpret_cast<const int8_t*>(panel), taps * kPanel, 0, 1.0f,
                                     to + kPanel);
    panel += taps * kPanel;
    to += (taps + 1) * kPanel;
  }
}

// The depthwise convolution of `count` pixels, the first of which looks at pixel `first` of rows.
void BandedFilter::filter(const void* const* rows, int64_t first, int64_t count, void* to) const {
  const void* at[kMaxKernel];
  for (int i = 0; i < packed_.kernel_size; ++i) {
    at[i] = rows[i] == nullptr ? zeros_ : pixel(rows[i], first);
  }
  Depthwise args;
  args.rows = at;
  args.row_stride = pixel_ * bytes_of(element_);
  args.weights = is_int8(packed_) ? widened_ : depthwise_;
  args.output = {to, pixel_, element_};
  args.width = count;
  args.channels = packed_.hidden_channels;
  args.kernel_size = packed_.kernel_size;
  args.stride = packed_.stride;
  if (!is_int8(packed_)) {
    args.activation = static_cast<Activation>(packed_.depthwise_activation);
  }
  run_activated(depthwise_kernel_, args);
}

}  // namespace seaformer
