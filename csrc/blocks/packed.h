// Packed weights of a block: a header that says what they are, then sections of float32.
//
//   stem                 pointwise(27, out), 3 means, 3 inverse standard deviations, 10 zeros
//   inverted_residual    pointwise(in, hidden) if it expands, depthwise(hidden),
//                        pointwise(hidden, out)
//   fusion_gate          pointwise(in, out), pointwise(hidden, out); hidden: of the coarse map
//   segmentation_head    as fusion_gate, shift(out), pointwise(out, classes)
//   classification_head  pointwise(in, out)
//   pointwise            pointwise(in, out)
//   sea_attention        pointwise(in, hidden), depthwise(hidden), pointwise(hidden, in),
//                        pointwise(values, values) of rows and of columns, pointwise(values, in),
//                        16 positions of keys floats four times: queries and keys of rows, then of
//                        columns. keys = heads * key_dim, values = hidden - 2 * keys
//
// Sections are laid out as the kernels' pack_* do, a multiple of 16 floats each. Little-endian, and
// the same for every instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace seaformer {

enum class PackedKind : int32_t {
  kStem = 1,
  kInvertedResidual = 2,
  kFusionGate = 3,
  kSegmentationHead = 4,
  kClassificationHead = 5,
  kPointwise = 6,
  kSeaAttention = 7
};

constexpr int32_t kPackedMagic = 0x4B504653;  // "SFPK"
constexpr int32_t kPackedVersion = 1;
constexpr int32_t kMaxPackedChannels = 1 << 20;  // keeps every length within 64 bits

struct PackedHeader {
  int32_t magic = kPackedMagic, version = kPackedVersion, kind;
  int32_t in_channels, hidden_channels, out_channels;
  int32_t kernel_size;  // classes, of a segmentation head
  int32_t stride;
  int32_t expand_activation;  // the only one, of a pointwise convolution
  int32_t depthwise_activation;
  int32_t flags;
  int32_t heads, key_dim;  // of SEA attention
  int32_t reserved[3];
};
static_assert(sizeof(PackedHeader) == 64);

constexpr int32_t kPackedExpands = 1;  // a flag: the inverted residual has an expansion

inline bool expands(const PackedHeader& header) { return (header.flags & kPackedExpands) != 0; }

// The header at the front of `bytes` bytes of packed weights, after checks of alignment, magic,
// version, kind, fields and length. Throws std::invalid_argument that names `op`, what was expected
// and what came.
const PackedHeader& checked_header(const char* op, PackedKind kind, const void* packed,
                                   int64_t bytes);

// Bytes of a header and the sections behind it, for a kind and sizes that are possible.
int64_t packed_bytes(const PackedHeader& header);

// The sections behind a header.
inline const float* packed_sections(const PackedHeader& header) {
  return reinterpret_cast<const float*>(&header + 1);
}

}  // namespace seaformer
