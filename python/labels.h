// Label tensors, and the block that fills them.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <optional>

#include "blocks/upsample_argmax.h"
#include "core/workspace.h"

namespace seaformer {

// uint8 for up to 256 classes, else int32.
inline torch::stable::Tensor empty_labels(const torch::stable::Tensor& like,
                                          const UpsampleArgmaxShape& shape) {
  using torch::headeronly::ScalarType;
  const int64_t sizes[3] = {shape.batch, shape.out_height, shape.out_width};
  return torch::stable::empty({sizes, 3}, shape.classes <= 256 ? ScalarType::Byte : ScalarType::Int,
                              std::nullopt, like.device());
}

// Fills what empty_labels made.
inline void write_labels(const UpsampleArgmaxShape& shape, const Logits& logits,
                         torch::stable::Tensor& labels, const Parallel& parallel) {
  const Workspace workspace(upsample_argmax_workspace(shape, logits, parallel.threads()));
  if (shape.classes <= 256) {
    upsample_argmax(shape, logits, labels.mutable_data_ptr<uint8_t>(), workspace.data(), parallel);
  } else {
    upsample_argmax(shape, logits, labels.mutable_data_ptr<int32_t>(), workspace.data(), parallel);
  }
}

}  // namespace seaformer
