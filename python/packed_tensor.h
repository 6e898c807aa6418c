// Tensors that ops take and give, as the blocks want them.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <optional>

#include "blocks/packed.h"
#include "checks.h"
#include "map_tensor.h"

namespace seaformer {

inline void check_packed_tensor(const char* op, const Tensor& packed) {
  require(packed.scalar_type() == ScalarType::Byte && packed.dim() == 1 && packed.is_contiguous(),
          op, ": expected packed weights as a contiguous one-dimensional uint8 tensor, got shape ",
          shape_text(packed.sizes()),
          packed.scalar_type() == ScalarType::Byte ? "" : " of another dtype");
}

// The checked header of an op's packed weights.
inline const PackedHeader& packed_header(const char* op, PackedKind kind, const Tensor& packed) {
  check_packed_tensor(op, packed);
  return checked_header(op, kind, packed.const_data_ptr<uint8_t>(), packed.size(0));
}

// A map [batch, channels, height, width] as dense channels_last pixels: itself, or a copy.
inline Tensor channels_last_map(const Tensor& x) {
  const int64_t channels = x.size(1), row = x.size(3) * channels;
  const bool dense =
      (x.stride(1) == 1 || channels == 1) && (x.stride(3) == channels || x.size(3) == 1) &&
      (x.stride(2) == row || x.size(2) == 1) && (x.stride(0) == x.size(2) * row || x.size(0) <= 1);
  return dense ? x : torch::stable::contiguous(x, MemoryFormat::ChannelsLast);
}

// The same of a map that a block with these weights is to read, checked.
inline Tensor channels_last_map(const char* op, const char* name, const Tensor& x,
                                const PackedHeader& packed) {
  check_map_shape(op, name, x);
  const std::optional<Element> element = find_map_element(x.scalar_type());
  require(element.has_value(), op, ": expected a ", element_names("int8"), " ", name,
          ", got another dtype");
  require(*element == element_of(packed), op, ": expected packed weights of ",
          element_name(*element), " for maps of it, got some of ",
          element_name(element_of(packed)));
  return channels_last_map(x);
}

// An uninitialised channels_last map.
inline Tensor empty_map(const Tensor& like, Element element, int64_t batch, int64_t channels,
                        int64_t height, int64_t width) {
  const int64_t sizes[4] = {batch, channels, height, width};
  return torch::stable::empty({sizes, 4}, scalar_type(element), std::nullopt, like.device(),
                              std::nullopt, MemoryFormat::ChannelsLast);
}

}  // namespace seaformer
