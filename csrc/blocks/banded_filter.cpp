#include "blocks/banded_filter.h"

#include <algorithm>
#include <limits>

namespace seaformer {
namespace {

constexpr int kMaxKernel = 5;
constexpr int64_t kRingFloats = 48 * 1024;  // aimed at, of one thread: it stays in the L2
constexpr int64_t kChunkFloats = 4096;      // aimed at, of a chunk: half of a small L1
// Tiles of 4, 6 and 8 pixels all divide a chunk.
constexpr int64_t kChunkPixels = 24;

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

BandedFilter::BandedFilter(const MapShape& shape, const PackedHeader& packed, int64_t threads,
                           bool keep_map, int64_t extra)
    : shape_(shape),
      packed_(packed),
      keep_map_(keep_map),
      padding_(packed.kernel_size / 2),
      out_height_((shape.height - 1) / packed.stride + 1),
      out_width_((shape.width - 1) / packed.stride + 1),
      extra_(extra),
      depthwise_kernel_(depthwise_kernel()),
      pointwise_kernel_(pointwise_kernel()) {
  seam_rows_ = expands() && !keep_map ? packed.kernel_size - packed.stride : 0;
  // Bands are at least as high as a seam, so that no row lies in two of them.
  const int64_t least_rows = std::max<int64_t>(divide_up(seam_rows_, packed.stride), 1);
  bands_ = std::clamp<int64_t>(out_height_ / least_rows, 1, divide_up(threads, shape.batch));
  workers_ = std::min(threads, shape.batch * bands_);
  pixel_ = spread_pixels(packed.hidden_channels);
  strip_ = out_width_;
  if (expands() && !keep_map) {
    const int64_t fit = kRingFloats / (packed.kernel_size * pixel_) - packed.kernel_size;
    const int64_t widest = std::max(fit / packed.stride + 1, kChunkPixels);
    strip_ = divide_up(out_width_, divide_up(out_width_, widest));
    strip_ = std::min(divide_up(strip_, 8) * 8, out_width_);
  }
  chunk_ = std::clamp<int64_t>(kChunkFloats / packed.hidden_channels / kChunkPixels, 1, 4) *
           kChunkPixels;
  Carver size(nullptr);
  take_scratch(size);
  scratch_bytes_ = size.used();

  expand_ = packed_sections(packed);
  depthwise_ = expand_;
  if (expands()) depthwise_ += packed_pointwise_floats(packed.in_channels, packed.hidden_channels);
  const Activation activation = static_cast<Activation>(packed.depthwise_activation);
  const float infinity = std::numeric_limits<float>::infinity();
  low_ = activation == Activation::kNone ? -infinity : 0.0f;
  high_ = activation == Activation::kRelu6 ? 6.0f : infinity;
}

const float* BandedFilter::next_sections() const {
  return depthwise_ + packed_depthwise_floats(packed_.hidden_channels, packed_.kernel_size);
}

// Expanded columns that `outputs` output columns look at.
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
  const int64_t rows = shape_.batch * (keep_map_ ? shape_.height : (bands_ - 1) * seam_rows_);
  rows_ = carver.take<float>(rows * columns(out_width_) * pixel_);
  zeros_ = carver.take<float>(zero_floats());
  scratch_ = carver.take<unsigned char>(workers_ * static_cast<int64_t>(scratch_bytes_));
}

BandedFilter::Scratch BandedFilter::take_scratch(Carver& carver) const {
  const int64_t ring = keep_map_ ? 0 : expands() ? columns(strip_) : packed_.kernel_size;
  return {carver.take<float>(packed_.kernel_size * ring * pixel_),
          carver.take<float>(chunk_ * pixel_), carver.take<float>(chunk_ * extra_)};
}

// Zeros the columns beyond the image, of `count` from `column` on.
void BandedFilter::clear_padding(int64_t column, int64_t count, float* row) const {
  const auto clear = [&](int64_t first, int64_t last) {
    if (first < last) std::fill_n(row + first * pixel_, (last - first) * pixel_, 0.0f);
  };
  clear(0, std::min(-column, count));
  clear(std::max<int64_t>(shape_.width - column, 0), count);
}

// Expands what the image has of `count` columns from `column` on.
void BandedFilter::expand_row(const float* input, int64_t image, int64_t row, int64_t column,
                              int64_t count, float* to) const {
  const int64_t first = std::max<int64_t>(column, 0);
  const int64_t last = std::min(column + count, shape_.width);
  const int64_t pixel = (image * shape_.height + row) * shape_.width + first;
  pointwise_kernel_.run({input + pixel * packed_.in_channels, packed_.in_channels, expand_,
                         to + (first - column) * pixel_, pixel_, nullptr, 0, nullptr, 0,
                         last - first, packed_.in_channels, packed_.hidden_channels,
                         static_cast<Activation>(packed_.expand_activation)});
}

void BandedFilter::expand_whole_row(const float* input, int64_t image, int64_t row,
                                    float* to) const {
  clear_padding(-padding_, columns(out_width_), to);
  expand_row(input, image, row, -padding_, columns(out_width_), to);
}

void BandedFilter::expand(const float* input, const Parallel& parallel) const {
  std::fill_n(zeros_, zero_floats(), 0.0f);
  const int64_t row_floats = columns(out_width_) * pixel_;
  if (keep_map_) {
    parallel.run(shape_.batch * shape_.height, [&](int64_t i) {
      expand_whole_row(input, i / shape_.height, i % shape_.height, rows_ + i * row_floats);
    });
  } else if (bands_ > 1 && seam_rows_ > 0) {
    const int64_t seams = shape_.batch * (bands_ - 1);
    parallel.run(seams * seam_rows_, [&](int64_t i) {
      const int64_t seam = i / seam_rows_, band = seam % (bands_ - 1) + 1;
      const int64_t row = first_row(band) + i % seam_rows_;
      if (row < 0 || row >= shape_.height) return;
      expand_whole_row(input, seam / (bands_ - 1), row, rows_ + i * row_floats);
    });
  }
}

PixelMaps BandedFilter::kept_maps() const {
  const int64_t row_stride = columns(out_width_) * pixel_;
  return {kept_row(0, 0),
          shape_.batch,
          shape_.height,
          shape_.width,
          packed_.hidden_channels,
          shape_.height * row_stride,
          row_stride,
          pixel_};
}

const float* BandedFilter::kept_row(int64_t image, int64_t row) const {
  return rows_ + ((image * shape_.height + row) * columns(out_width_) + padding_) * pixel_;
}

void BandedFilter::run(const float* input, const Parallel& parallel,
                       const Consumer& consumer) const {
  const int64_t units = shape_.batch * bands_;
  parallel.run(workers_, [&](int64_t worker) {
    Carver carver(scratch_ + worker * scratch_bytes_);
    const Scratch scratch = take_scratch(carver);
    for (int64_t i = units * worker / workers_; i < units * (worker + 1) / workers_; ++i) {
      for (int64_t x = 0; x < out_width_; x += strip_) {
        run_strip(input, i / bands_, i % bands_, x, std::min(x + strip_, out_width_), scratch,
                  consumer);
      }
    }
  });
}

void BandedFilter::run_strip(const float* input, int64_t image, int64_t band, int64_t x0,
                             int64_t x1, const Scratch& scratch, const Consumer& consumer) const {
  const int64_t column = x0 * packed_.stride - padding_;
  const int64_t ring_row = columns(x1 - x0) * pixel_;
  const int64_t y0 = first_output(band), y1 = first_output(band + 1);
  // Rows from own_begin to own_end are expanded into the ring, those around lie in seams.
  const int64_t own_begin = std::max<int64_t>(first_row(band) + (band > 0 ? seam_rows_ : 0), 0);
  const int64_t own_end = band + 1 < bands_ ? first_row(band + 1) : shape_.height;
  const bool use_ring = expands() && !keep_map_;
  for (int i = 0; use_ring && i < packed_.kernel_size; ++i) {
    clear_padding(column, columns(x1 - x0), scratch.ring + i * ring_row);
  }
  // Row `row` of the expanded map, from `column` on, or of the input where nothing expands, from
  // its first column on; null outside of the image.
  const auto row_at = [&](int64_t row) -> const float* {
    if (row < 0 || row >= shape_.height) return nullptr;
    if (!expands()) {
      return input + (image * shape_.height + row) * shape_.width * packed_.in_channels;
    }
    if (keep_map_) return kept_row(image, row) - padding_ * pixel_;
    if (row >= own_begin && row < own_end) {
      return scratch.ring + row % packed_.kernel_size * ring_row;
    }
    const int64_t above = row < own_begin ? band : band + 1;  // the band that begins with it
    const int64_t seam = image * (bands_ - 1) + above - 1;
    const int64_t index = seam * seam_rows_ + row - first_row(above);
    return rows_ + (index * columns(out_width_) + column + padding_) * pixel_;
  };

  int64_t expanded = own_begin;
  const bool joined = x1 - x0 == out_width_;  // rows follow each other in the output
  int64_t waiting = 0, first_waiting = 0;     // pixels of the chunk, and where they belong
  for (int64_t y = y0; y < y1; ++y) {
    const int64_t top = y * packed_.stride - padding_;
    for (; use_ring && expanded < std::min(top + packed_.kernel_size, own_end); ++expanded) {
      expand_row(input, image, expanded, column, columns(x1 - x0),
                 scratch.ring + expanded % packed_.kernel_size * ring_row);
    }
    const float* rows[kMaxKernel];
    for (int i = 0; i < packed_.kernel_size; ++i) rows[i] = row_at(top + i);
    for (int64_t x = x0; x < x1;) {
      if (waiting == 0) first_waiting = (image * out_height_ + y) * out_width_ + x;
      const int64_t count = std::min(chunk_ - waiting, x1 - x);
      filter(rows, x, x0, count, scratch, scratch.chunk + waiting * pixel_);
      const float* expanded_pixels = rows[padding_] + (x - x0 + padding_) * pixel_;
      consumer.filtered({image, y, x, count, expands() ? expanded_pixels : nullptr, pixel_,
                         scratch.extra + waiting * extra_});
      waiting += count;
      x += count;
      if (waiting == chunk_ || (x == x1 && (!joined || y + 1 == y1))) {
        consumer.finish(scratch.chunk, pixel_, scratch.extra, first_waiting, waiting);
        waiting = 0;
      }
    }
  }
}

// The depthwise convolution of `count` pixels from x on. Rows begin at output x0 of a strip.
void BandedFilter::filter(const float* const* rows, int64_t x, int64_t x0, int64_t count,
                          const Scratch& scratch, float* to) const {
  if (expands()) {
    return filter_inside(rows, pixel_, (x - x0) * packed_.stride, count, to);
  }
  // Rows of the input itself have no padding: outputs at the edges take a padded copy.
  const int64_t left = (padding_ + packed_.stride - 1) / packed_.stride;
  const int64_t reach = shape_.width + padding_ - packed_.kernel_size;
  const int64_t right = reach < 0 ? 0 : reach / packed_.stride + 1;
  for (const int64_t end = x + count; x < end;) {
    int64_t done = 1;
    if (x < left || x >= right) {
      filter_edge(rows, x, scratch.ring, to);
    } else {
      done = std::min(end, right) - x;
      filter_inside(rows, packed_.in_channels, x * packed_.stride - padding_, done, to);
    }
    x += done;
    to += done * pixel_;
  }
}

// ... whose kernels all lie within the rows, the first one at pixel `first`.
void BandedFilter::filter_inside(const float* const* rows, int64_t row_stride, int64_t first,
                                 int64_t count, float* to) const {
  const float* at[kMaxKernel];
  for (int i = 0; i < packed_.kernel_size; ++i) {
    at[i] = rows[i] == nullptr ? zeros_ : rows[i] + first * row_stride;
  }
  run_depthwise(at, row_stride, count, to);
}

// ... of one pixel at the edge of the image.
void BandedFilter::filter_edge(const float* const* rows, int64_t x, float* patch, float* to) const {
  const int64_t channels = packed_.in_channels;
  const float* at[kMaxKernel];
  for (int i = 0; i < packed_.kernel_size; ++i) {
    float* copy = patch + i * packed_.kernel_size * channels;
    at[i] = rows[i] == nullptr ? zeros_ : copy;
    if (rows[i] == nullptr) continue;
    for (int64_t j = 0; j < packed_.kernel_size; ++j, copy += channels) {
      const int64_t column = x * packed_.stride - padding_ + j;
      if (column < 0 || column >= shape_.width) {
        std::fill_n(copy, channels, 0.0f);
      } else {
        std::copy_n(rows[i] + column * channels, channels, copy);
      }
    }
  }
  run_depthwise(at, channels, 1, to);
}

void BandedFilter::run_depthwise(const float* const* rows, int64_t row_stride, int64_t count,
                                 float* to) const {
  depthwise_kernel_.run({rows, row_stride, depthwise_, to, pixel_, count, packed_.hidden_channels,
                         packed_.kernel_size, packed_.stride, low_, high_});
}

}  // namespace seaformer
