// Rows of the expanded map live in a ring of kernel_size rows that the second-level cache holds; as
// soon as the rows of an output row are there it is computed, some pixels at a time, and projected
// from the first-level cache. Zero columns at both ends of the ring's rows, and one row of zeros,
// stand for the padding.
//
// Threads take bands of output rows. The few expanded rows that two neighbouring bands both need,
// the seam, are made first, by all threads together.
#include "blocks/inverted_residual.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/workspace.h"
#include "kernels/depthwise/variants.h"
#include "kernels/pointwise/variants.h"

namespace seaformer {
namespace {

constexpr int kMaxKernel = 5;
constexpr int64_t kRingFloats = 48 * 1024;  // aimed at, of one thread: half of a small L2
constexpr int64_t kChunkFloats = 4096;      // aimed at, of a chunk: half of a small L1
// Tiles of 4, 6 and 8 pixels all divide a chunk.
constexpr int64_t kChunkPixels = 24;

// What shape and threads decide.
struct Plan {
  int64_t padding, out_height, out_width;
  int64_t bands;      // of an image
  int64_t seam_rows;  // expanded rows that two neighbouring bands share
  int64_t workers;    // bands of all images are divided among them
  int64_t strip;      // output columns for which a ring holds expanded ones
  int64_t pixel;      // floats between pixels of expanded rows
  int64_t chunk;      // output pixels that are projected together
};

int64_t ring_columns(const PackedHeader& packed, int64_t strip) {
  return (strip - 1) * packed.stride + packed.kernel_size;
}

Plan make_plan(const InvertedResidualShape& shape, const PackedHeader& packed, int64_t threads) {
  Plan plan;
  plan.padding = packed.kernel_size / 2;
  plan.out_height = inverted_residual_out(packed, shape.height);
  plan.out_width = inverted_residual_out(packed, shape.width);
  const bool expands = packed.flags & kPackedExpands;
  plan.seam_rows = expands ? packed.kernel_size - packed.stride : 0;
  // Bands are at least as high as a seam, so that no row lies in two of them.
  const int64_t least_rows =
      std::max<int64_t>((plan.seam_rows + packed.stride - 1) / packed.stride, 1);
  const int64_t wanted = (threads + shape.batch - 1) / shape.batch;
  plan.bands = std::clamp<int64_t>(plan.out_height / least_rows, 1, wanted);
  plan.workers = std::min(threads, shape.batch * plan.bands);
  plan.pixel = packed.hidden_channels;
  // Pixels a multiple of 256 bytes apart would fall on few sets of the first-level cache.
  if (plan.pixel % 64 == 0) plan.pixel += kPanel;
  plan.strip = plan.out_width;
  if (expands) {
    const int64_t columns = kRingFloats / (packed.kernel_size * plan.pixel);
    const int64_t fits = (columns - packed.kernel_size) / packed.stride + 1;
    const int64_t strips =
        (plan.out_width + std::max(fits, kChunkPixels) - 1) / std::max(fits, kChunkPixels);
    plan.strip = (plan.out_width + strips - 1) / strips;
    plan.strip = std::min((plan.strip + 7) / 8 * 8, plan.out_width);
  }
  plan.chunk = std::clamp<int64_t>(kChunkFloats / packed.hidden_channels / kChunkPixels, 1, 4) *
               kChunkPixels;
  return plan;
}

// Arrays of expanded pixels, in a workspace.
struct Seams {
  float* rows;   // [batch * (bands - 1)][seam_rows][columns of an image][pixel]
  float* zeros;  // as many as a chunk can look at
};

struct Scratch {
  float* ring;   // [kernel_size][ring_columns(strip)][pixel]
  float* chunk;  // [chunk][pixel]
};

Seams take_seams(const InvertedResidualShape& shape, const PackedHeader& packed, const Plan& plan,
                 Carver& carver) {
  const int64_t rows = shape.batch * (plan.bands - 1) * plan.seam_rows;
  return {carver.take<float>(rows * ring_columns(packed, plan.out_width) * plan.pixel),
          carver.take<float>(ring_columns(packed, plan.chunk) * plan.pixel)};
}

Scratch take_scratch(const PackedHeader& packed, const Plan& plan, Carver& carver) {
  const int64_t columns = packed.flags & kPackedExpands ? ring_columns(packed, plan.strip)
                                                        : packed.kernel_size;  // of an edge
  return {carver.take<float>(packed.kernel_size * columns * plan.pixel),
          carver.take<float>(plan.chunk * plan.pixel)};
}

// One call: everything its threads share.
class Block {
 public:
  Block(const InvertedResidualShape& shape, const PackedHeader& packed, const Plan& plan,
        const float* input, float* output, const Seams& seams)
      : shape_(shape),
        packed_(packed),
        plan_(plan),
        input_(input),
        output_(output),
        seams_(seams),
        depthwise_kernel_(depthwise_kernel()),
        pointwise_kernel_(pointwise_kernel()) {
    const float* sections = packed_sections(packed);
    if (expands()) {
      expand_ = sections;
      sections += packed_pointwise_floats(packed.in_channels, packed.hidden_channels);
    }
    depthwise_ = sections;
    project_ = sections + packed_depthwise_floats(packed.hidden_channels, packed.kernel_size);
    const Activation activation = static_cast<Activation>(packed.depthwise_activation);
    const float infinity = std::numeric_limits<float>::infinity();
    low_ = activation == Activation::kNone ? -infinity : 0.0f;
    high_ = activation == Activation::kRelu6 ? 6.0f : infinity;
  }

  bool expands() const { return packed_.flags & kPackedExpands; }

  // Expands row `index` of all seams.
  void expand_seam_row(int64_t index) const {
    const int64_t seam = index / plan_.seam_rows, image = seam / (plan_.bands - 1);
    const int64_t band = seam % (plan_.bands - 1) + 1;
    const int64_t row = first_row(band) + index % plan_.seam_rows;
    if (row < 0 || row >= shape_.height) return;
    const int64_t columns = ring_columns(packed_, plan_.out_width);
    float* to = seams_.rows + index * columns * plan_.pixel;
    clear_padding(-plan_.padding, columns, to);
    expand_row(image, row, -plan_.padding, columns, to);
  }

  // Computes a band of an image.
  void run_band(int64_t image, int64_t band, const Scratch& scratch) const {
    for (int64_t x = 0; x < plan_.out_width; x += plan_.strip) {
      run_strip(image, band, x, std::min(x + plan_.strip, plan_.out_width), scratch);
    }
  }

 private:
  int64_t first_output(int64_t band) const { return plan_.out_height * band / plan_.bands; }
  // The first input row that a band looks at; with one row of the next band on, a seam.
  int64_t first_row(int64_t band) const {
    return first_output(band) * packed_.stride - plan_.padding;
  }

  // Zeros the columns beyond the image, of `count` from `column` on.
  void clear_padding(int64_t column, int64_t count, float* row) const {
    const auto clear = [&](int64_t first, int64_t last) {
      if (first < last) std::fill_n(row + first * plan_.pixel, (last - first) * plan_.pixel, 0.0f);
    };
    clear(0, std::min(-column, count));
    clear(std::max<int64_t>(shape_.width - column, 0), count);
  }

  // Expands what the image has of `count` columns from `column` on.
  void expand_row(int64_t image, int64_t row, int64_t column, int64_t count, float* to) const {
    const int64_t first = std::max<int64_t>(column, 0);
    const int64_t last = std::min(column + count, shape_.width);
    pointwise_kernel_.run(
        {input_ + ((image * shape_.height + row) * shape_.width + first) * packed_.in_channels,
         packed_.in_channels, expand_, to + (first - column) * plan_.pixel, plan_.pixel, nullptr, 0,
         nullptr, 0, last - first, packed_.in_channels, packed_.hidden_channels,
         static_cast<Activation>(packed_.expand_activation)});
  }

  void run_strip(int64_t image, int64_t band, int64_t x0, int64_t x1,
                 const Scratch& scratch) const {
    const int64_t column = x0 * packed_.stride - plan_.padding;
    const int64_t columns = ring_columns(packed_, x1 - x0), ring_row = columns * plan_.pixel;
    const int64_t y0 = first_output(band), y1 = first_output(band + 1);
    // Rows from own_begin to own_end are expanded into the ring, those around lie in seams.
    const int64_t own_begin =
        std::max<int64_t>(first_row(band) + (band > 0 ? plan_.seam_rows : 0), 0);
    const int64_t own_end = band + 1 < plan_.bands ? first_row(band + 1) : shape_.height;
    int64_t expanded = own_begin;
    if (expands()) {
      for (int i = 0; i < packed_.kernel_size; ++i) {
        clear_padding(column, columns, scratch.ring + i * ring_row);
      }
    }
    // Row `row` of the expanded map, from `column` on, or of the input where nothing expands, from
    // its first column on; null outside of the image.
    const auto row_at = [&](int64_t row) -> const float* {
      if (row < 0 || row >= shape_.height) return nullptr;
      if (!expands()) {
        return input_ + (image * shape_.height + row) * shape_.width * packed_.in_channels;
      }
      if (row >= own_begin && row < own_end) {
        return scratch.ring + row % packed_.kernel_size * ring_row;
      }
      const int64_t above = row < own_begin ? band : band + 1;  // the band that begins with it
      const int64_t seam = image * (plan_.bands - 1) + above - 1;
      const int64_t index = seam * plan_.seam_rows + row - first_row(above);
      const int64_t pixels = index * ring_columns(packed_, plan_.out_width);
      return seams_.rows + (pixels + column + plan_.padding) * plan_.pixel;
    };

    const bool joined = x1 - x0 == plan_.out_width;  // rows follow each other in the output
    int64_t waiting = 0, first_waiting = 0;          // pixels of the chunk, and where they belong
    for (int64_t y = y0; y < y1; ++y) {
      const int64_t top = y * packed_.stride - plan_.padding;
      if (expands()) {
        for (; expanded < std::min(top + packed_.kernel_size, own_end); ++expanded) {
          expand_row(image, expanded, column, columns,
                     scratch.ring + expanded % packed_.kernel_size * ring_row);
        }
      }
      const float* rows[kMaxKernel];
      for (int i = 0; i < packed_.kernel_size; ++i) rows[i] = row_at(top + i);
      for (int64_t x = x0; x < x1;) {
        if (waiting == 0) first_waiting = (image * plan_.out_height + y) * plan_.out_width + x;
        const int64_t count = std::min(plan_.chunk - waiting, x1 - x);
        filter(rows, x, x0, count, scratch, scratch.chunk + waiting * plan_.pixel);
        waiting += count;
        x += count;
        if (waiting == plan_.chunk || (x == x1 && (!joined || y + 1 == y1))) {
          project(scratch.chunk, first_waiting, waiting);
          waiting = 0;
        }
      }
    }
  }

  // The depthwise convolution of `count` pixels from x on. Rows begin at output x0 of a strip.
  void filter(const float* const* rows, int64_t x, int64_t x0, int64_t count,
              const Scratch& scratch, float* to) const {
    if (expands()) {
      return filter_inside(rows, plan_.pixel, (x - x0) * packed_.stride, count, to);
    }
    // Rows of the input itself have no padding: outputs at the edges take a padded copy.
    const int64_t left = (plan_.padding + packed_.stride - 1) / packed_.stride;
    const int64_t reach = shape_.width + plan_.padding - packed_.kernel_size;
    const int64_t right = reach < 0 ? 0 : reach / packed_.stride + 1;
    for (const int64_t end = x + count; x < end;) {
      int64_t done = 1;
      if (x < left || x >= right) {
        filter_edge(rows, x, scratch.ring, to);
      } else {
        done = std::min(end, right) - x;
        filter_inside(rows, packed_.in_channels, x * packed_.stride - plan_.padding, done, to);
      }
      x += done;
      to += done * plan_.pixel;
    }
  }

  // ... whose kernels all lie within the rows, the first one at pixel `first`.
  void filter_inside(const float* const* rows, int64_t row_stride, int64_t first, int64_t count,
                     float* to) const {
    const float* at[kMaxKernel];
    for (int i = 0; i < packed_.kernel_size; ++i) {
      at[i] = rows[i] == nullptr ? seams_.zeros : rows[i] + first * row_stride;
    }
    run_depthwise(at, row_stride, count, to);
  }

  // ... of one pixel at the edge of the image.
  void filter_edge(const float* const* rows, int64_t x, float* patch, float* to) const {
    const int64_t channels = packed_.in_channels;
    const float* at[kMaxKernel];
    for (int i = 0; i < packed_.kernel_size; ++i) {
      float* copy = patch + i * packed_.kernel_size * channels;
      at[i] = rows[i] == nullptr ? seams_.zeros : copy;
      if (rows[i] == nullptr) continue;
      for (int64_t j = 0; j < packed_.kernel_size; ++j, copy += channels) {
        const int64_t column = x * packed_.stride - plan_.padding + j;
        if (column < 0 || column >= shape_.width) {
          std::fill_n(copy, channels, 0.0f);
        } else {
          std::copy_n(rows[i] + column * channels, channels, copy);
        }
      }
    }
    run_depthwise(at, channels, 1, to);
  }

  void run_depthwise(const float* const* rows, int64_t row_stride, int64_t count, float* to) const {
    depthwise_kernel_.run({rows, row_stride, depthwise_, to, plan_.pixel, count,
                           packed_.hidden_channels, packed_.kernel_size, packed_.stride, low_,
                           high_});
  }

  // Projects `count` pixels to the outputs from `pixel` on.
  void project(const float* chunk, int64_t pixel, int64_t count) const {
    const int64_t out = packed_.out_channels;
    pointwise_kernel_.run({chunk, plan_.pixel, project_, output_ + pixel * out, out, nullptr, 0,
                           shape_.residual ? input_ + pixel * out : nullptr, out, count,
                           packed_.hidden_channels, out, Activation::kNone});
  }

  const InvertedResidualShape& shape_;
  const PackedHeader& packed_;
  const Plan& plan_;
  const float* input_;
  float* output_;
  Seams seams_;
  const DepthwiseKernel& depthwise_kernel_;
  const PointwiseKernel& pointwise_kernel_;
  const float *expand_ = nullptr, *depthwise_, *project_;
  float low_, high_;
};

}  // namespace

int64_t inverted_residual_out(const PackedHeader& packed, int64_t in) {
  return (in - 1) / packed.stride + 1;
}

std::size_t inverted_residual_workspace(const InvertedResidualShape& shape,
                                        const PackedHeader& packed, int64_t threads) {
  const Plan plan = make_plan(shape, packed, threads);
  Carver carver(nullptr);
  take_seams(shape, packed, plan, carver);
  for (int64_t i = 0; i < plan.workers; ++i) take_scratch(packed, plan, carver);
  return carver.used();
}

void inverted_residual(const InvertedResidualShape& shape, const PackedHeader& packed,
                       const float* input, float* output, void* workspace,
                       const Parallel& parallel) {
  const Plan plan = make_plan(shape, packed, parallel.threads());
  Carver carver(workspace);
  const Seams seams = take_seams(shape, packed, plan, carver);
  std::fill_n(seams.zeros, ring_columns(packed, plan.chunk) * plan.pixel, 0.0f);
  const std::size_t shared_bytes = carver.used();
  Carver worker_size(nullptr);
  take_scratch(packed, plan, worker_size);

  const Block block(shape, packed, plan, input, output, seams);
  const int64_t seam_rows = shape.batch * (plan.bands - 1) * plan.seam_rows;
  if (seam_rows > 0) {
    parallel.run(seam_rows, [&](int64_t index) { block.expand_seam_row(index); });
  }
  const int64_t units = shape.batch * plan.bands;
  parallel.run(plan.workers, [&](int64_t worker) {
    Carver own(static_cast<unsigned char*>(workspace) + shared_bytes + worker * worker_size.used());
    const Scratch scratch = take_scratch(packed, plan, own);
    for (int64_t i = units * worker / plan.workers; i < units * (worker + 1) / plan.workers; ++i) {
      block.run_band(i / plan.bands, i % plan.bands, scratch);
    }
  });
}

}  // namespace seaformer
