#include "blocks/block_kind.h"

#include "core/require.h"
#include "kernels/pointwise/variants.h"

namespace seaformer {

const BlockKind* find_kind(int64_t code) {
  switch (code) {
#define SEAFORMER_KIND(enumerator, name, code) \
  case code:                                   \
    return &name##_kind();
#include "blocks/kinds.inc"
#undef SEAFORMER_KIND
    default:
      return nullptr;
  }
}

bool is_activation(int32_t code, Activation most) {
  const auto activation = static_cast<Activation>(code);
  const bool is_known = code >= 0 && (activation <= Activation::kGeluTanh ||
                                      activation >= Activation::kLeastLeakyRelu);
  return is_known && activation <= most;
}

void check_activation(const char* op, int32_t code) {
  require(is_activation(code), op, ": expected packed weights with a known activation, got code ",
          code);
}

void check_output_activation(const char* op, const PackedHeader& weights) {
  require(weights.version < kActivatedPackedVersion || is_activation(weights.output_activation), op,
          ": expected packed weights with a known output activation, got code ",
          weights.output_activation);
}

void check_hidden_channels(const char* op, const PackedHeader& weights) {
  require(is_packed_channels(weights.hidden_channels), op, ": expected packed weights with 1 to ",
          kMaxPackedChannels, " hidden channels, got ", weights.hidden_channels);
}

void check_output_channels(const char* op, const PackedHeader& weights) {
  require(weights.out_channels == weights.in_channels, op,
          ": expected packed weights with as many output as input channels, got ",
          weights.out_channels, " and ", weights.in_channels);
}

void check_equal_channels(const char* op, const PackedHeader& weights) {
  require(
      weights.hidden_channels == weights.in_channels && weights.out_channels == weights.in_channels,
      op, ": expected packed weights with as many hidden and output as input channels, got ",
      weights.hidden_channels, ", ", weights.out_channels, " and ", weights.in_channels);
}

}  // namespace seaformer
