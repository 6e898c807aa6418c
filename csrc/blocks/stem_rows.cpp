#include "blocks/stem_rows.h"

#include <algorithm>
#include <cstring>

#include "blocks/activated.h"
#include "blocks/section_reader.h"
#include "kernels/convert/variants.h"

namespace seaformer {
namespace {

constexpr int64_t kInputs = 27;  // of an output: three channels of nine pixels
constexpr int kRows = 3;         // of the image that an output row looks at

// Columns of the image that the outputs look at.
int64_t columns(const RowSource::Part& part) { return 2 * (part.last - part.first) + 1; }

// A row of padding.
int64_t zero_elements(const MapShape& shape) { return 3 * (shape.width + 2); }

}  // namespace

StemRows::Shared StemRows::take_shared(const MapShape& shape, const PackedHeader& packed,
                                       Carver& carver) {
  const Element element = element_of(packed);
  const int64_t converted =
      element == Element::kF32 ? 0 : packed_pointwise_floats(kInputs, packed.out_channels);
  return {carver.take<float>(zero_elements(shape)), carver.take(converted, element)};
}

StemRows::StemRows(const MapShape& shape, const PackedHeader& packed, const StemImages& images,
                   Carver& carver)
    : shape_(shape),
      images_(images),
      kernel_(stem_kernel(element_of(packed))),
      out_channels_(packed.out_channels),
      activation_(output_activation(packed)) {
  interleaved_ = images.channel_stride == 1 && images.column_stride == 3 && shape.width > 1;
  SectionReader sections = stem_sections(packed);
  weights_ = sections.pointwise(kInputs, out_channels_);
  const float* mean = sections.array(6);
  const float* inverse_std = mean + 3;
  normalizes_ = images.bytes;
  for (int c = 0; c < 3; ++c) {
    normalizes_ = normalizes_ || mean[c] != 0.0f || inverse_std[c] != 1.0f;
    for (int i = 0; i < kNormalizationPeriod; ++i) {
      normalization_[c].mean[i] = mean[interleaved_ ? i % 3 : c];
      normalization_[c].inverse_std[i] = inverse_std[interleaved_ ? i % 3 : c];
    }
  }
  const bool narrows = kernel_.input != Element::kF32;
  in_place_ = !normalizes_ && !narrows;

  const Shared shared = take_shared(shape, packed, carver);
  std::memset(shared.zeros, 0, zero_elements(shape) * sizeof(float));
  zeros_ = shared.zeros;
  if (narrows) {
    convert_kernel(kernel_.input)
        .narrow(static_cast<const float*>(weights_),
                packed_pointwise_floats(kInputs, out_channels_), shared.weights);
    weights_ = shared.weights;
  }
}

void StemRows::fill(const Part& part, const OutPixels& to, void* scratch) const {
  if (in_place_) return fill_in_place(part, to, static_cast<float*>(scratch));
  const int64_t plane = columns(part) * channels();
  const auto in_ring = [&](int64_t row, int c) {
    return after(scratch, (row % kRows * planes() + c) * plane, kernel_.input);
  };
  const int64_t first = std::max<int64_t>(2 * part.row - (part.follows ? 0 : 1), 0);
  for (int64_t row = first; row < std::min(2 * part.row + 2, shape_.height); ++row) {
    copy_row(part, row, in_ring(row, 0));
  }
  const void* rows[3 * kRows];
  point_at_rows(rows, part.row, in_ring);
  run_kernel(rows, part.last - part.first, to);
}

// Those of a channel from a column on.
const void* StemRows::pixels(int64_t image, int64_t row, int64_t column, int c) const {
  const int64_t at = image * images_.image_stride + row * images_.row_stride +
                     column * images_.column_stride + c * images_.channel_stride;
  return after(images_.data, images_.bytes ? at : at * static_cast<int64_t>(sizeof(float)));
}

// The rows that output row y looks at; row_at(row, channel) tells where those of the image lie.
template <class RowAt>
void StemRows::point_at_rows(const void** rows, int64_t y, const RowAt& row_at) const {
  for (int c = 0; c < planes(); ++c) {
    for (int i = 0; i < kRows; ++i) {
      const int64_t row = 2 * y - 1 + i;
      rows[c * kRows + i] = row < 0 || row >= shape_.height ? zeros_ : row_at(row, c);
    }
  }
}

void StemRows::run_kernel(const void* const* rows, int64_t width, const OutPixels& to) const {
  Stem args;
  args.rows = rows;
  args.interleaved = interleaved_;
  args.weights = weights_;
  args.output = to;
  args.width = width;
  args.out_channels = out_channels_;
  args.activation = activation_;
  run_activated(kernel_, args);
}

// The columns of a row that the part looks at, with zeros around the image.
void StemRows::copy_row(const Part& part, int64_t row, void* to) const {
  const int64_t column = 2 * part.first - 1, end = column + columns(part);
  const int64_t first = std::max<int64_t>(column, 0), last = std::min(end, shape_.width);
  const int64_t count = (last - first) * channels();
  const auto pad = [&](int64_t columns) {
    const int64_t zeros = columns * channels() * bytes_of(kernel_.input);
    std::memset(to, 0, zeros);
    to = after(to, zeros);
  };
  for (int c = 0; c < planes(); ++c) {
    pad(first - column);
    copy_pixels(pixels(part.image, row, first, c), count, c, to);
    to = after(to, count, kernel_.input);
    pad(end - last);
  }
}

// Of plane c, as the kernel takes them.
void StemRows::copy_pixels(const void* from, int64_t count, int c, void* to) const {
  if (images_.bytes) {
    kernel_.normalize_u8(static_cast<const uint8_t*>(from), count, normalization_[c], to);
  } else if (normalizes_) {
    kernel_.normalize_f32(static_cast<const float*>(from), count, normalization_[c], to);
  } else {
    convert_kernel(kernel_.input).narrow(static_cast<const float*>(from), count, to);
  }
}

void StemRows::fill_in_place(const Part& part, const OutPixels& to, float* patch) const {
  const auto output = [&](int64_t x) {
    OutPixels here = to;
    here.data = after(to.data, (x - part.first) * to.stride);
    return here;
  };
  const void* rows[3 * kRows];
  point_at_rows(rows, part.row, [&](int64_t row, int c) { return pixels(part.image, row, 0, c); });
  // Outputs from 1 to `inner` look at columns of the image only.
  const int64_t inner = shape_.width / 2;
  const int64_t first = std::max<int64_t>(part.first, 1), last = std::min(part.last, inner);
  if (part.first == 0) run_edge(rows, 0, patch, to);
  if (first < last) {
    const void* from[3 * kRows];
    for (int i = 0; i < kRows * planes(); ++i) {
      from[i] = after(rows[i], (2 * first - 1) * channels(), Element::kF32);
    }
    run_kernel(from, last - first, output(first));
  }
  if (part.last > std::max<int64_t>(inner, 1)) {
    run_edge(rows, part.last - 1, patch, output(part.last - 1));
  }
}

// Computes output x of rows without padding.
void StemRows::run_edge(const void* const* rows, int64_t x, float* patch,
                        const OutPixels& to) const {
  const void* from[3 * kRows];
  for (int i = 0; i < kRows * planes(); ++i) {
    const float* const row = static_cast<const float*>(rows[i]);
    from[i] = patch;
    for (int64_t column = 2 * x - 1; column < 2 * x + 2; ++column) {
      const bool inside = column >= 0 && column < shape_.width;
      for (int c = 0; c < channels(); ++c) {
        *patch++ = inside ? row[column * channels() + c] : 0.0f;
      }
    }
  }
  run_kernel(from, 1, to);
}

}  // namespace seaformer
