// Packed weights of a block: a header that says what they are, then sections.
//
// Which ones, each block's file says above its kind. Those of convolutions are laid out as the
// kernels' pack_* do, in the element type of the block, that of its maps, too; arrays are float32.
// A multiple of 16 elements each. Little-endian, and the same for every instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/element.h"

namespace seaformer {

enum class PackedKind : int32_t {
#define SEAFORMER_KIND(enumerator, name, code) enumerator = code,
#include "blocks/kinds.inc"
#undef SEAFORMER_KIND
};

constexpr int32_t kPackedMagic = 0x4B504653;  // "SFPK"
constexpr int32_t kPackedVersion = 3;  // the newest; float32 is packed as 2, which older code reads
constexpr int32_t kFloatPackedVersion = 2;
constexpr int32_t kMaxPackedChannels = 1 << 20;  // keeps every length within 64 bits

constexpr bool is_packed_channels(int32_t n) { return n > 0 && n <= kMaxPackedChannels; }

struct PackedHeader {
  int32_t magic = kPackedMagic, version = kFloatPackedVersion, kind;
  int32_t in_channels, hidden_channels, out_channels;
  int32_t kernel_size;  // of a segmentation head of version 1: its classes
  int32_t stride;
  int32_t expand_activation;  // the only one, of a pointwise convolution
  int32_t depthwise_activation;
  int32_t flags;
  int32_t heads, key_dim;  // of SEA attention
  int32_t classes;         // of a head of segmentation; see class_count
  int32_t element;         // from version 3 on, before float32
  int32_t reserved;
};
static_assert(sizeof(PackedHeader) == 64);

// Flags.
constexpr int32_t kPackedExpands = 1;     // the inverted residual has an expansion
constexpr int32_t kPackedNormalizes = 2;  // the stem was packed with a mean and std

inline Element element_of(const PackedHeader& header) {
  return header.version < 3 ? Element::kF32 : static_cast<Element>(header.element);
}

inline bool expands(const PackedHeader& header) { return (header.flags & kPackedExpands) != 0; }

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

// The sections behind a header.
inline const void* packed_sections(const PackedHeader& header) { return &header + 1; }

}  // namespace seaformer
