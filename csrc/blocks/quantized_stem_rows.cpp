#include "blocks/quantized_stem_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "blocks/section_reader.h"

namespace seaformer {
namespace {

constexpr int kRows = 3;          // of the image that an output row looks at
constexpr int64_t kRowBytes = 9;  // of them, what an output looks at
constexpr int64_t kCopied = 16;   // at once: what is too much, the next copy replaces
constexpr int64_t kInputs = 28;   // of an output: 27 and one whose weights are zero
constexpr int64_t kPatch = 32;    // bytes between those of neighbouring outputs
constexpr int64_t kBlock = 96;    // outputs that are convolved together, by what stays in the L1

int64_t columns(const RowSource::Part& part) { return 2 * (part.last - part.first) + 1; }

// What outputs look at in each of the rows; four outputs a turn, as compilers make a loop of few.
void copy_patches(const int8_t* row0, const int8_t* row1, const int8_t* row2, int64_t count,
                  int8_t* to) {
  const auto copy = [&](int64_t i) {
    std::memcpy(to + i * kPatch, row0 + 6 * i, kCopied);
    std::memcpy(to + i * kPatch + kRowBytes, row1 + 6 * i, kCopied);
    std::memcpy(to + i * kPatch + 2 * kRowBytes, row2 + 6 * i, kCopied);
  };
  for (; count >= 4; count -= 4, row0 += 24, row1 += 24, row2 += 24, to += 4 * kPatch) {
    copy(0), copy(1), copy(2), copy(3);
  }
  for (int64_t i = 0; i < count; ++i) copy(i);
}

}  // namespace

QuantizedStemRows::QuantizedStemRows(const MapShape& shape, const PackedHeader& packed,
                                     const StemImages& images, Int8Output form)
    : shape_(shape),
      images_(images),
      form_(form),
      out_channels_(packed.out_channels),
      raw_(images.bytes || (packed.flags & kPackedNormalizes) != 0),
      pointwise_(int8_pointwise_kernel()),
      convert_(int8_convert_kernel()) {
  SectionReader sections(packed);
  sections.quantized_numbers();
  mean_ = sections.array(6);
  inverse_std_ = mean_ + 3;
  weights_ = sections.rest();
}

void QuantizedStemRows::fill(const Part& part, const OutPixels& to, void* scratch) const {
  const int64_t row_bytes = 3 * columns(part), outputs = part.last - part.first;
  auto* const ring = static_cast<int8_t*>(scratch);
  int8_t* const patches = ring + kRows * row_bytes;
  const auto in_ring = [&](int64_t row) { return ring + (row + kRows) % kRows * row_bytes; };
  for (int64_t row = 2 * part.row - (part.follows ? 0 : 1); row < 2 * part.row + 2; ++row) {
    copy_row(part, row, in_ring(row));
  }
  const int8_t* rows[kRows];
  for (int r = 0; r < kRows; ++r) rows[r] = in_ring(2 * part.row - 1 + r);
  for (int64_t x = 0; x < outputs; x += kBlock) {
    const int64_t count = std::min(kBlock, outputs - x);
    copy_patches(rows[0] + 6 * x, rows[1] + 6 * x, rows[2] + 6 * x, count, patches);
    Int8Pointwise args;
    args.input = {patches, kPatch};
    args.weights = weights_;
    // A block is of whole quads.
    args.output.data =
        after(to.data, form_ == Int8Output::kInt8Quads ? x * kInt8Quad : x * to.stride);
    args.output.stride = to.stride;
    args.form = form_;
    args.zero = kLeastQuantized;
    args.pixels = count;
    args.in_channels = kInputs;
    args.out_channels = out_channels_;
    pointwise_.run(args);
  }
}

// The columns of a row that the part looks at, channels interleaved, with those around the image.
void QuantizedStemRows::copy_row(const Part& part, int64_t row, int8_t* to) const {
  const int64_t column = 2 * part.first - 1, end = column + columns(part);
  const bool outside = row < 0 || row >= shape_.height;
  const int64_t first = outside ? end : std::max<int64_t>(column, 0);
  const int64_t last = outside ? end : std::min(end, shape_.width);
  int8_t border[3];
  for (int c = 0; c < 3; ++c) convert_.quantize(mean_ + c, 1, 1.0f, kLeastQuantized, border + c);
  for (int64_t i = column; i < first; ++i) std::memcpy(to + 3 * (i - column), border, 3);
  for (int64_t i = last; i < end; ++i) std::memcpy(to + 3 * (i - column), border, 3);
  if (first >= last) return;

  int8_t* const inside = to + 3 * (first - column);
  const int64_t count = last - first;
  const int64_t at =
      part.image * images_.image_stride + row * images_.row_stride + first * images_.column_stride;
  const int64_t element = images_.bytes ? 1 : int64_t{sizeof(float)};
  if (images_.bytes && images_.channel_stride == 1 && images_.column_stride == 3) {
    const auto* bytes = static_cast<const uint8_t*>(images_.data) + at;
    for (int64_t i = 0; i < 3 * count; ++i) inside[i] = static_cast<int8_t>(bytes[i] ^ 0x80);
    return;
  }
  for (int c = 0; c < 3; ++c) {
    copy_channel(after(images_.data, (at + c * images_.channel_stride) * element), count, c,
                 inside + c);
  }
}

// Of one channel, to every third byte.
void QuantizedStemRows::copy_channel(const void* from, int64_t count, int c, int8_t* to) const {
  const int64_t step = images_.column_stride;
  if (images_.bytes) {
    const auto* bytes = static_cast<const uint8_t*>(from);
    for (int64_t i = 0; i < count; ++i) {
      to[3 * i] = static_cast<int8_t>(bytes[i * step] + kLeastQuantized);
    }
    return;
  }
  const auto* floats = static_cast<const float*>(from);
  const float factor = raw_ ? 1.0f : 1.0f / inverse_std_[c], shift = raw_ ? 0.0f : mean_[c];
  constexpr int64_t kTogether = 64;
  float wide[kTogether];
  int8_t pixels[kTogether];
  for (int64_t i = 0; i < count; i += kTogether) {
    const int64_t some = std::min(kTogether, count - i);
    for (int64_t k = 0; k < some; ++k) wide[k] = floats[(i + k) * step] * factor + shift;
    convert_.quantize(wide, some, 1.0f, kLeastQuantized, pixels);
    for (int64_t k = 0; k < some; ++k) to[3 * (i + k)] = pixels[k];
  }
}

}  // namespace seaformer
