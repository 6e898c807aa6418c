// Float images that need no normalisation are read in place, but for the outputs at the edges,
// which look at a padded copy. Others are normalised row by row into a ring of three padded rows.
#include "blocks/stem.h"

#include <algorithm>

#include "core/workspace.h"
#include "kernels/pointwise/variants.h"
#include "kernels/stem/variants.h"

namespace seaformer {
namespace {

constexpr int64_t kInputs = 27;  // of an output: three channels of nine pixels
constexpr int kRows = 3;         // of the image that an output row looks at

int64_t padded_row_floats(const StemShape& shape) { return 3 * (shape.width + 2); }

struct Scratch {
  float* ring;   // [kRows][padded_row_floats]: normalised rows of the image
  float* patch;  // [kInputs]: what an output at an edge looks at
};

Scratch take_scratch(const StemShape& shape, Carver& carver) {
  return {carver.take<float>(kRows * padded_row_floats(shape)), carver.take<float>(kInputs)};
}

// One call: everything its threads share.
class Block {
 public:
  Block(const StemShape& shape, const PackedHeader& packed, const StemImages& images,
        const float* zeros, float* output)
      : shape_(shape),
        images_(images),
        zeros_(zeros),
        output_(output),
        kernel_(stem_kernel()),
        weights_(packed_sections(packed)),
        out_channels_(packed.out_channels) {
    interleaved_ = images.channel_stride == 1 && images.column_stride == 3 && shape.width > 1;
    const float* mean = weights_ + packed_pointwise_floats(kInputs, out_channels_);
    const float* inverse_std = mean + 3;
    in_place_ = !images.bytes;
    for (int c = 0; c < 3; ++c) {
      in_place_ = in_place_ && mean[c] == 0.0f && inverse_std[c] == 1.0f;
      for (int i = 0; i < kNormalizationPeriod; ++i) {
        normalization_[c].mean[i] = mean[interleaved_ ? i % 3 : c];
        normalization_[c].inverse_std[i] = inverse_std[interleaved_ ? i % 3 : c];
      }
    }
  }

  // Computes output rows [begin, end), counted through all images.
  void run_rows(int64_t begin, int64_t end, const Scratch& scratch) const {
    const int64_t out_height = stem_out(shape_.height);
    int64_t held_image = -1, normalized = 0;  // rows of the image that went through the ring
    if (!in_place_) clear_padding(scratch.ring);
    for (int64_t index = begin; index < end; ++index) {
      const int64_t image = index / out_height, y = index % out_height;
      float* const to = output_ + index * stem_out(shape_.width) * out_channels_;
      if (in_place_) {
        run_in_place(image, y, scratch.patch, to);
        continue;
      }
      if (image != held_image) normalized = std::max<int64_t>(2 * y - 1, 0);
      held_image = image;
      for (; normalized < std::min(2 * y + 2, shape_.height); ++normalized) {
        normalize_row(image, normalized, ring_row(scratch, normalized));
      }
      const float* rows[3 * kRows];
      point_at_rows(rows, y, [&](int64_t row, int c) {
        return ring_row(scratch, row) + c * (shape_.width + 2);
      });
      run_kernel(rows, stem_out(shape_.width), to);
    }
  }

 private:
  int channels() const { return interleaved_ ? 3 : 1; }  // of a row that the kernel reads
  int planes() const { return interleaved_ ? 1 : 3; }

  float* ring_row(const Scratch& scratch, int64_t row) const {
    return scratch.ring + row % kRows * padded_row_floats(shape_);
  }

  // The rows that output row y looks at; row_at(row, channel) tells where those of the image lie.
  template <class RowAt>
  void point_at_rows(const float** rows, int64_t y, const RowAt& row_at) const {
    for (int c = 0; c < planes(); ++c) {
      for (int i = 0; i < kRows; ++i) {
        const int64_t row = 2 * y - 1 + i;
        rows[c * kRows + i] = row < 0 || row >= shape_.height ? zeros_ : row_at(row, c);
      }
    }
  }

  void run_kernel(const float* const* rows, int64_t width, float* to) const {
    kernel_.run({rows, interleaved_, weights_, to, out_channels_, width, out_channels_});
  }

  // Zeros the columns around the image in all rows of a ring.
  void clear_padding(float* ring) const {
    const int64_t row = (shape_.width + 2) * channels();
    for (int64_t i = 0; i < kRows * planes(); ++i, ring += row) {
      std::fill_n(ring, channels(), 0.0f);
      std::fill_n(ring + row - channels(), channels(), 0.0f);
    }
  }

  int64_t element(int64_t image, int64_t row, int c) const {
    return image * images_.image_stride + row * images_.row_stride + c * images_.channel_stride;
  }

  void normalize_row(int64_t image, int64_t row, float* to) const {
    const int64_t count = shape_.width * channels();
    to += channels();
    for (int c = 0; c < planes(); ++c, to += shape_.width + 2) {
      const int64_t at = element(image, row, c);
      if (images_.bytes) {
        kernel_.normalize_u8(static_cast<const uint8_t*>(images_.data) + at, count,
                             normalization_[c], to);
      } else {
        kernel_.normalize_f32(static_cast<const float*>(images_.data) + at, count,
                              normalization_[c], to);
      }
    }
  }

  void run_in_place(int64_t image, int64_t y, float* patch, float* to) const {
    const float* rows[3 * kRows];
    point_at_rows(rows, y, [&](int64_t row, int c) {
      return static_cast<const float*>(images_.data) + element(image, row, c);
    });
    // Outputs from 1 to `inner` look at columns of the image only.
    const int64_t width = stem_out(shape_.width), inner = shape_.width / 2;
    run_edge(rows, 0, patch, to);
    if (inner > 1) {
      const float* from[3 * kRows];
      for (int i = 0; i < kRows * planes(); ++i) from[i] = rows[i] + channels();
      run_kernel(from, inner - 1, to + out_channels_);
    }
    if (width > 1 && inner < width) run_edge(rows, width - 1, patch, to + inner * out_channels_);
  }

  // Computes output x of rows without padding.
  void run_edge(const float* const* rows, int64_t x, float* patch, float* to) const {
    const float* from[3 * kRows];
    for (int i = 0; i < kRows * planes(); ++i) {
      from[i] = patch;
      for (int64_t column = 2 * x - 1; column < 2 * x + 2; ++column) {
        const bool inside = column >= 0 && column < shape_.width;
        for (int c = 0; c < channels(); ++c) {
          *patch++ = inside ? rows[i][column * channels() + c] : 0.0f;
        }
      }
    }
    run_kernel(from, 1, to);
  }

  const StemShape& shape_;
  const StemImages& images_;
  const float* zeros_;
  float* output_;
  const StemKernel& kernel_;
  const float* weights_;
  int64_t out_channels_;
  bool interleaved_, in_place_;
  Normalization normalization_[3];  // of each plane
};

}  // namespace

std::size_t stem_workspace(const StemShape& shape, int64_t threads) {
  Carver carver(nullptr);
  carver.take<float>(padded_row_floats(shape));
  for (int64_t i = 0; i < threads; ++i) take_scratch(shape, carver);
  return carver.used();
}

void stem(const StemShape& shape, const PackedHeader& packed, const StemImages& images,
          float* output, void* workspace, const Parallel& parallel) {
  Carver carver(workspace);
  float* const zeros = carver.take<float>(padded_row_floats(shape));
  std::fill_n(zeros, padded_row_floats(shape), 0.0f);
  const std::size_t shared_bytes = carver.used();
  Carver worker_size(nullptr);
  take_scratch(shape, worker_size);

  const Block block(shape, packed, images, zeros, output);
  const int64_t rows = shape.batch * stem_out(shape.height);
  const int64_t workers = std::min(rows, parallel.threads());
  parallel.run(workers, [&](int64_t worker) {
    Carver own(static_cast<unsigned char*>(workspace) + shared_bytes + worker * worker_size.used());
    block.run_rows(rows * worker / workers, rows * (worker + 1) / workers,
                   take_scratch(shape, own));
  });
}

}  // namespace seaformer
