#include "blocks/packed.h"

#include <sstream>
#include <stdexcept>

#include "core/panel.h"
#include "kernels/depthwise/variants.h"
#include "kernels/pointwise/variants.h"

namespace seaformer {
namespace {

template <class... Parts>
void expect(bool condition, const char* op, const Parts&... parts) {
  if (condition) return;
  std::ostringstream message;
  message << op << ": expected ";
  (message << ... << parts);
  throw std::invalid_argument(message.str());
}

int64_t section_floats(const PackedHeader& h) {
  const int64_t in = h.in_channels, hidden = h.hidden_channels, out = h.out_channels;
  switch (static_cast<PackedKind>(h.kind)) {
    case PackedKind::kStem:
      return packed_pointwise_floats(27, out) + kPanel;
    case PackedKind::kInvertedResidual:
      return (h.flags & kPackedExpands ? packed_pointwise_floats(in, hidden) : 0) +
             packed_depthwise_floats(hidden, h.kernel_size) + packed_pointwise_floats(hidden, out);
    case PackedKind::kFusionGate:
      return packed_pointwise_floats(in, out) + packed_pointwise_floats(hidden, out);
    case PackedKind::kSegmentationHead:
      return packed_pointwise_floats(in, out) + packed_pointwise_floats(hidden, out) +
             panels(out) * kPanel + packed_pointwise_floats(out, h.kernel_size);
    case PackedKind::kSeaAttention: {
      const int64_t keys = int64_t{h.heads} * h.key_dim, values = hidden - 2 * keys;
      return packed_pointwise_floats(in, hidden) + packed_depthwise_floats(hidden, 3) +
             packed_pointwise_floats(hidden, in) + 2 * packed_pointwise_floats(values, values) +
             packed_pointwise_floats(values, in) + 4 * 16 * keys;
    }
    default:
      return packed_pointwise_floats(in, out);
  }
}

bool is_channels(int32_t n) { return n > 0 && n <= kMaxPackedChannels; }

bool is_activation(int32_t code) {
  return code >= 0 && code <= static_cast<int32_t>(Activation::kHardSigmoid);
}

}  // namespace

int64_t packed_bytes(const PackedHeader& header) {
  return int64_t{sizeof header} + section_floats(header) * int64_t{sizeof(float)};
}

const PackedHeader& checked_header(const char* op, PackedKind kind, const void* packed,
                                   int64_t bytes) {
  expect(bytes >= static_cast<int64_t>(sizeof(PackedHeader)), op,
         "packed weights of at least 64 bytes, got ", bytes);
  expect(reinterpret_cast<uintptr_t>(packed) % alignof(float) == 0, op,
         "packed weights aligned to 4 bytes, got address ", packed);
  const PackedHeader& h = *static_cast<const PackedHeader*>(packed);
  expect(h.magic == kPackedMagic, op, "packed weights that begin with the magic number ",
         kPackedMagic, ", got ", h.magic);
  expect(h.version == kPackedVersion, op, "packed weights of layout version ", kPackedVersion,
         ", got version ", h.version);
  expect(h.kind == static_cast<int32_t>(kind), op, "packed weights of kind ",
         static_cast<int32_t>(kind), ", got kind ", h.kind);
  expect(is_channels(h.in_channels) && is_channels(h.out_channels), op, "packed weights with 1 to ",
         kMaxPackedChannels, " channels, got ", h.in_channels, " in and ", h.out_channels, " out");
  if (kind == PackedKind::kStem) {
    expect(h.in_channels == 3, op, "packed weights for 3 input channels, got ", h.in_channels);
  }
  if (kind == PackedKind::kInvertedResidual || kind == PackedKind::kFusionGate ||
      kind == PackedKind::kSegmentationHead || kind == PackedKind::kSeaAttention) {
    expect(is_channels(h.hidden_channels), op, "packed weights with 1 to ", kMaxPackedChannels,
           " hidden channels, got ", h.hidden_channels);
  }
  if (kind == PackedKind::kInvertedResidual) {
    expect(h.kernel_size == 3 || h.kernel_size == 5, op,
           "packed weights of kernel size 3 or 5, got ", h.kernel_size);
    expect(h.stride == 1 || h.stride == 2, op, "packed weights of stride 1 or 2, got ", h.stride);
    expect(is_activation(h.expand_activation) && is_activation(h.depthwise_activation) &&
               h.depthwise_activation != static_cast<int32_t>(Activation::kHardSigmoid),
           op, "packed weights with known activations, got codes ", h.expand_activation, " and ",
           h.depthwise_activation);
    expect((h.flags & kPackedExpands) != 0 || h.hidden_channels == h.in_channels, op,
           "packed weights without an expansion to have as many hidden as input channels, got ",
           h.hidden_channels, " and ", h.in_channels);
  }
  if (kind == PackedKind::kSeaAttention) {
    expect(h.out_channels == h.in_channels && h.kernel_size == 3 && h.stride == 1 &&
               h.flags == kPackedExpands && h.expand_activation == 0 &&
               h.depthwise_activation == static_cast<int32_t>(Activation::kRelu6),
           op, "packed weights of a 3x3 convolution with ReLU6 to as many channels, got ",
           h.in_channels, " to ", h.out_channels, " by ", h.kernel_size, "x", h.kernel_size);
    const int64_t keys = int64_t{h.heads} * h.key_dim;
    expect(h.heads > 0 && h.key_dim > 0 && h.hidden_channels > 2 * keys &&
               (h.hidden_channels - 2 * keys) % h.heads == 0,
           op, "packed weights whose heads divide queries, keys and values, got ", h.heads,
           " heads of ", h.key_dim, " keys among ", h.hidden_channels, " channels");
  }
  if (kind == PackedKind::kPointwise) {
    expect(is_activation(h.expand_activation), op,
           "packed weights with a known activation, got code ", h.expand_activation);
  }
  if (kind == PackedKind::kSegmentationHead) {
    expect(is_channels(h.kernel_size), op, "packed weights with 1 to ", kMaxPackedChannels,
           " classes, got ", h.kernel_size);
  }
  const int64_t expected = packed_bytes(h);
  expect(bytes == expected, op, "packed weights of ", expected, " bytes, got ", bytes);
  return h;
}

}  // namespace seaformer
