// Packed weights of a block: a header that says what they are, then sections.
//
// Which ones, each block's file says above its kind. Those of convolutions are laid out as the
// kernels' pack_* do, in the element type of the block, that of its maps, too; arrays are float32.
// A multiple of 16 elements each. Little-endian, and the same for every instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/activation.h"
#include "core/element.h"

namespace seaformer {

enum class PackedKind : int32_t {
#define SEAFORMER_KIND(enumerator, name, code) enumerator = code,
#include "blocks/kinds.inc"
#undef SEAFORMER_KIND
};

constexpr int32_t kPackedMagic = 0x4B504653;  // "SFPK"
// The newest one: floats with what older code would misread. Others are as older code reads them.
constexpr int32_t kPackedVersion = 5;
constexpr int32_t kInt8PackedVersion = 4;
constexpr int32_t kTypedPackedVersion = 3;  // float16 and bfloat16
constexpr int32_t kFloatPackedVersion = 2;
constexpr int32_t kActivatedPackedVersion = kPackedVersion;  // from which on it has the last field
constexpr int32_t kMaxPackedChannels = 1 << 20;              // keeps every length within 64 bits

constexpr bool is_packed_channels(int32_t n) { return n > 0 && n <= kMaxPackedChannels; }

struct PackedHeader {
  int32_t magic = kPackedMagic, version = kFloatPackedVersion, kind;
  int32_t in_channels, hidden_channels, out_channels;
  int32_t kernel_size;  // of a segmentation head of version 1: its classes
  int32_t stride;
  int32_t expand_activation;  // the only one, of a pointwise convolution
  int32_t depthwise_activation;
  int32_t flags;
  // Of SEA attention the first two, of a head of segmentation the third, see class_count; of an
  // inverted residual with squeeze-and-excite see squeeze_layers.
  int32_t heads, key_dim, classes;
  int32_t element;            // from version 3 on, before float32
  int32_t output_activation;  // see the function
};
static_assert(sizeof(PackedHeader) == 64);

// Flags.
constexpr int32_t kPackedExpands = 1;         // the inverted residual has an expansion
constexpr int32_t kPackedNormalizes = 2;      // the stem was packed with a mean and std
constexpr int32_t kPackedReadsRelu = 4;       // of int8: what the block reads is behind a ReLU
constexpr int32_t kPackedPadsSame = 8;        // as TensorFlow's "same"; see WindowAxis
constexpr int32_t kPackedAverages = 16;       // the pool has means, not the greatest numbers
constexpr int32_t kPackedCountsPadding = 32;  // in those means
constexpr int32_t kPackedWritesRelu = 64;     // of int8: what the inverted residual writes is, too
constexpr int32_t kPackedByWinograd = 128;  // weights of a convolution, transformed for F(2x2, 3x3)

inline Element element_of(const PackedHeader& header) {
  return header.version < 3 ? Element::kF32 : static_cast<Element>(header.element);
}

inline bool is_int8(const PackedHeader& header) { return element_of(header) == Element::kI8; }

inline bool expands(const PackedHeader& header) { return (header.flags & kPackedExpands) != 0; }

// Of a convolution or a pool, whose header has no other use for these fields; its kernel_size is
// the height.
inline int32_t kernel_width(const PackedHeader& header) { return header.heads; }
inline int32_t dilation(const PackedHeader& header) { return header.key_dim; }
inline int32_t row_padding(const PackedHeader& header) { return header.hidden_channels; }
inline int32_t column_padding(const PackedHeader& header) { return header.classes; }

inline bool pads_same(const PackedHeader& header) { return (header.flags & kPackedPadsSame) != 0; }

inline bool by_winograd(const PackedHeader& header) {
  return (header.flags & kPackedByWinograd) != 0;
}

// Of a stem, and of an inverted residual's projection.
inline Activation output_activation(const PackedHeader& header) {
  if (header.version >= kActivatedPackedVersion) {
    return static_cast<Activation>(header.output_activation);
  }
  const bool stem = header.kind == static_cast<int32_t>(PackedKind::kStem);
  return stem ? Activation::kRelu : Activation::kNone;
}

// Of squeeze-and-excite in an inverted residual.
struct SqueezeLayers {
  int32_t channels;             // between them; 0 if there is none
  Activation activation, gate;  // behind the first and the second
};
inline SqueezeLayers squeeze_layers(const PackedHeader& header) {
  if (header.version < kActivatedPackedVersion) return {0, Activation::kNone, Activation::kNone};
  return {header.heads, static_cast<Activation>(header.key_dim),
          static_cast<Activation>(header.classes)};
}
inline bool squeezes(const PackedHeader& header) { return squeeze_layers(header).channels != 0; }

// Classes of a segmentation or upsampling head; of the former, in any version.
inline int32_t class_count(const PackedHeader& header) {
  const bool old =
      header.version == 1 && header.kind == static_cast<int32_t>(PackedKind::kSegmentationHead);
  return old ? header.kernel_size : header.classes;
}

// The header at the front of `bytes` bytes of packed weights, after checks of alignment, magic,
// version, kind, fields and length. Throws std::invalid_argument that names `op`, what was expected
// and what came.
const PackedHeader& checked_header(const char* op, PackedKind kind, const void* packed,
                                   int64_t bytes);

// Bytes of a header and the sections behind it, for a kind and sizes that are possible.
int64_t packed_bytes(const PackedHeader& header);

// What weights of int8 begin with, an array as SectionReader has them.
struct QuantizedNumbers {
  float input_scale, output_scale;  // of the maps
  float ratio;  // of a residual, in units of 1 / kRatioOne; 0 where there is none
  float
      inner[3];  // further scales, as the kind has them; of two maps the first is the coarse one's
};
constexpr int64_t kQuantizedNumbers = sizeof(QuantizedNumbers) / sizeof(float);

// The type of a map, with what the numbers of int8 stand for: scale * (q - zero).
struct MapType {
  Element element = Element::kF32;
  float scale = 1.0f;
  int32_t zero = 0;
};
inline bool operator==(const MapType& a, const MapType& b) {
  return a.element == b.element && a.scale == b.scale && a.zero == b.zero;
}

// Of the maps that a block reads, and of that it writes. Heads of int8 write float32.
MapType input_type(const PackedHeader& header);
MapType coarse_type(const PackedHeader& header);  // the second, of those that read two
MapType output_type(const PackedHeader& header);

// The sections behind a header.
inline const void* packed_sections(const PackedHeader& header) { return &header + 1; }

}  // namespace seaformer
