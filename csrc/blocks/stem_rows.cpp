#include "blocks/stem_rows.h"

#include <algorithm>

#include "blocks/section_reader.h"

namespace seaformer {
namespace {

constexpr int64_t kInputs = 27;  // of an output: three channels of nine pixels
constexpr int kRows = 3;         // of the image that an output row looks at

// Columns of the image that the outputs look at.
int64_t columns(const RowSource::Part& part) { return 2 * (part.last - part.first) + 1; }

}  // namespace

StemRows::StemRows(const MapShape& shape, const PackedHeader& packed, const StemImages& images,
                   const float* zeros)
    : shape_(shape),
      images_(images),
      zeros_(zeros),
      kernel_(stem_kernel(element_of(packed))),
      out_channels_(packed.out_channels) {
  interleaved_ = images.channel_stride == 1 && images.column_stride == 3 && shape.width > 1;
  SectionReader sections = stem_sections(packed);
  weights_ = sections.pointwise(kInputs, out_channels_);
  const float* mean = sections.array(6);
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

void StemRows::fill(const Part& part, const OutPixels& to, void* scratch) const {
  float* const image = static_cast<float*>(scratch);
  if (in_place_) return fill_in_place(part, to, image);
  const int64_t plane = columns(part) * channels();
  const auto in_ring = [&](int64_t row) { return image + row % kRows * planes() * plane; };
  const int64_t first = std::max<int64_t>(2 * part.row - (part.follows ? 0 : 1), 0);
  for (int64_t row = first; row < std::min(2 * part.row + 2, shape_.height); ++row) {
    normalize_row(part, row, in_ring(row));
  }
  const float* rows[3 * kRows];
  point_at_rows(rows, part.row, [&](int64_t row, int c) { return in_ring(row) + c * plane; });
  run_kernel(rows, part.last - part.first, to);
}

int64_t StemRows::element(int64_t image, int64_t row, int c) const {
  return image * images_.image_stride + row * images_.row_stride + c * images_.channel_stride;
}

// The rows that output row y looks at; row_at(row, channel) tells where those of the image lie.
template <class RowAt>
void StemRows::point_at_rows(const float** rows, int64_t y, const RowAt& row_at) const {
  for (int c = 0; c < planes(); ++c) {
    for (int i = 0; i < kRows; ++i) {
      const int64_t row = 2 * y - 1 + i;
      rows[c * kRows + i] = row < 0 || row >= shape_.height ? zeros_ : row_at(row, c);
    }
  }
}

void StemRows::run_kernel(const float* const* rows, int64_t width, const OutPixels& to) const {
  Stem args;
  args.rows = rows;
  args.interleaved = interleaved_;
  args.weights = weights_;
  args.output = to;
  args.width = width;
  args.out_channels = out_channels_;
  kernel_.run(args);
}

// The columns of a row that the part looks at, with zeros around the image.
void StemRows::normalize_row(const Part& part, int64_t row, float* to) const {
  const int64_t column = 2 * part.first - 1, end = column + columns(part);
  const int64_t first = std::max<int64_t>(column, 0), last = std::min(end, shape_.width);
  for (int c = 0; c < planes(); ++c) {
    to = std::fill_n(to, (first - column) * channels(), 0.0f);
    const int64_t at = element(part.image, row, c) + first * channels();
    const int64_t count = (last - first) * channels();
    if (images_.bytes) {
      kernel_.normalize_u8(static_cast<const uint8_t*>(images_.data) + at, count, normalization_[c],
                           to);
    } else {
      kernel_.normalize_f32(static_cast<const float*>(images_.data) + at, count, normalization_[c],
                            to);
    }
    to = std::fill_n(to + count, (end - last) * channels(), 0.0f);
  }
}

void StemRows::fill_in_place(const Part& part, const OutPixels& to, float* patch) const {
  const auto output = [&](int64_t x) {
    OutPixels here = to;
    here.data = after(to.data, (x - part.first) * to.stride);
    return here;
  };
  const float* rows[3 * kRows];
  point_at_rows(rows, part.row, [&](int64_t row, int c) {
    return static_cast<const float*>(images_.data) + element(part.image, row, c);
  });
  // Outputs from 1 to `inner` look at columns of the image only.
  const int64_t inner = shape_.width / 2;
  const int64_t first = std::max<int64_t>(part.first, 1), last = std::min(part.last, inner);
  if (part.first == 0) run_edge(rows, 0, patch, to);
  if (first < last) {
    const float* from[3 * kRows];
    for (int i = 0; i < kRows * planes(); ++i) from[i] = rows[i] + (2 * first - 1) * channels();
    run_kernel(from, last - first, output(first));
  }
  if (part.last > std::max<int64_t>(inner, 1)) {
    run_edge(rows, part.last - 1, patch, output(part.last - 1));
  }
}

// Computes output x of rows without padding.
void StemRows::run_edge(const float* const* rows, int64_t x, float* patch,
                        const OutPixels& to) const {
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

}  // namespace seaformer
