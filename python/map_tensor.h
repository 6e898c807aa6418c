// Maps that ops take in any floating-point dtype and wherever they lie.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <initializer_list>
#include <optional>

#include "blocks/pixel_maps.h"
#include "checks.h"
#include "element_type.h"

namespace seaformer {

using torch::headeronly::MemoryFormat;
using torch::stable::Tensor;

inline void check_map_shape(const char* op, const char* name, const Tensor& x) {
  require(x.dim() == 4, op, ": expected ", name, " of shape [batch, channels, height, width], got ",
          shape_text(x.sizes()));
  require(x.size(1) > 0 && x.size(2) > 0 && x.size(3) > 0, op, ": expected ", name,
          " with at least one channel, row and column, got ", shape_text(x.sizes()));
}

// The element type of all tensors, but for null ones; nothing if it is a dtype without kernels.
// Refuses different dtypes, and those of other numbers.
inline std::optional<Element> one_element(const char* op,
                                          std::initializer_list<const Tensor*> tensors) {
  const ScalarType dtype = (*tensors.begin())->scalar_type();
  bool one_dtype = dtype == ScalarType::Float || dtype == ScalarType::Double ||
                   dtype == ScalarType::Half || dtype == ScalarType::BFloat16;
  for (const Tensor* x : tensors) one_dtype &= x == nullptr || x->scalar_type() == dtype;
  require(one_dtype, op, ": expected tensors of one floating-point dtype, got another or several");
  return find_element(dtype);
}

// x, or a copy of another type with the same strides.
inline Tensor in_type(const Tensor& x, ScalarType type) {
  return x.scalar_type() == type ? x : torch::stable::to(x, type);
}

inline MapShape map_shape(const Tensor& x) { return {x.size(0), x.size(2), x.size(3)}; }

// x, or a copy in which the channels of a pixel lie side by side.
inline Tensor with_pixels(const Tensor& x) {
  const bool side_by_side = x.stride(1) == 1 || x.size(1) == 1;
  return side_by_side ? x : torch::stable::contiguous(x, MemoryFormat::ChannelsLast);
}

// The pixels of what with_pixels returned, of an element type.
inline PixelMaps pixel_maps(const Tensor& x) {
  PixelMaps maps;
  maps.data = x.const_data_ptr();
  maps.element = *find_element(x.scalar_type());
  maps.shape = map_shape(x);
  maps.channels = x.size(1);
  maps.image_stride = x.stride(0);
  maps.row_stride = x.stride(2);
  maps.pixel_stride = x.stride(3);
  return maps;
}

}  // namespace seaformer
