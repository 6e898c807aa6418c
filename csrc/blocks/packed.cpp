#include "blocks/packed.h"

#include <cmath>

#include "blocks/block_kind.h"
#include "core/quantized.h"
#include "core/require.h"

namespace seaformer {

namespace {

const QuantizedNumbers& quantized_numbers(const PackedHeader& header) {
  return *static_cast<const QuantizedNumbers*>(packed_sections(header));
}

void check_numbers(const char* op, const QuantizedNumbers& numbers) {
  for (const float scale : {numbers.input_scale, numbers.output_scale}) {
    require(std::isnormal(scale) && scale > 0, op,
            ": expected packed weights of int8 with scales above 0, got ", scale);
  }
  for (const float scale : numbers.inner) {
    require(std::isfinite(scale) && scale >= 0, op,
            ": expected packed weights of int8 with inner scales that are not negative, got ",
            scale);
  }
  require(numbers.ratio >= 0 && numbers.ratio < 8 * kRatioOne, op,
          ": expected packed weights of int8 whose residual counts less than ", 8 * kRatioOne,
          ", got ", numbers.ratio);
}

}  // namespace

int64_t packed_bytes(const PackedHeader& header) {
  return int64_t{sizeof header} + kind_of(header).sections(header).bytes();
}

const PackedHeader& checked_header(const char* op, PackedKind kind, const void* packed,
                                   int64_t bytes) {
  require(bytes >= static_cast<int64_t>(sizeof(PackedHeader)), op,
          ": expected packed weights of at least 64 bytes, got ", bytes);
  require(reinterpret_cast<uintptr_t>(packed) % alignof(float) == 0, op,
          ": expected packed weights aligned to 4 bytes, got address ", packed);
  const PackedHeader& h = *static_cast<const PackedHeader*>(packed);
  require(h.magic == kPackedMagic, op,
          ": expected packed weights that begin with the magic number ", kPackedMagic, ", got ",
          h.magic);
  require(h.version >= 1 && h.version <= kPackedVersion, op,
          ": expected packed weights of layout version 1 to ", kPackedVersion, ", got version ",
          h.version);
  const int32_t int8 = static_cast<int32_t>(Element::kI8);
  require(h.version < kTypedPackedVersion ||
              (is_element(h.element) && (h.version == kInt8PackedVersion) == (h.element == int8)),
          op,
          ": expected packed weights of element type 0 to 2 (floats), or of 3 (int8) in layout "
          "version ",
          kInt8PackedVersion, ", got ", h.element, " in version ", h.version);
  require(h.kind == static_cast<int32_t>(kind), op, ": expected packed weights of kind ",
          static_cast<int32_t>(kind), ", got kind ", h.kind);
  require(is_packed_channels(h.in_channels) && is_packed_channels(h.out_channels), op,
          ": expected packed weights with 1 to ", kMaxPackedChannels, " channels, got ",
          h.in_channels, " in and ", h.out_channels, " out");
  require(element_of(h) != Element::kI8 || kind_of(h).has_int8(), op,
          ": expected packed weights of floats, as there is no such block of int8, got int8");
  kind_of(h).check(op, h);
  const int64_t expected = packed_bytes(h);
  require(bytes == expected, op, ": expected packed weights of ", expected, " bytes, got ", bytes);
  if (element_of(h) == Element::kI8) check_numbers(op, quantized_numbers(h));
  return h;
}

MapType input_type(const PackedHeader& header) {
  if (element_of(header) != Element::kI8) return {element_of(header)};
  const int32_t zero = (header.flags & kPackedReadsRelu) != 0 ? kLeastQuantized : 0;
  return {Element::kI8, quantized_numbers(header).input_scale, zero};
}

MapType coarse_type(const PackedHeader& header) {
  if (element_of(header) != Element::kI8) return {element_of(header)};
  return {Element::kI8, quantized_numbers(header).inner[0]};
}

MapType output_type(const PackedHeader& header) {
  if (element_of(header) != Element::kI8) return {element_of(header)};
  if (kind_of(header).writes_floats()) return {};
  const auto kind = static_cast<PackedKind>(header.kind);
  const bool relu = kind == PackedKind::kStem || (kind == PackedKind::kInvertedResidual &&
                                                  (header.flags & kPackedWritesRelu) != 0);
  return {Element::kI8, quantized_numbers(header).output_scale, relu ? kLeastQuantized : 0};
}

}  // namespace seaformer
