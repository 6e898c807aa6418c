// The tensors that ops write detections to.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <tuple>

#include "blocks/detections.h"

namespace seaformer {

struct DetectionTensors {
  torch::stable::Tensor boxes, scores, classes, counts;

  // Of so many images and detections, on the device of another tensor.
  DetectionTensors(const torch::stable::Tensor& like, int64_t batch, int64_t most)
      : boxes(empty(like, {batch, most, 4}, ScalarType::Float)),
        scores(empty(like, {batch, most}, ScalarType::Float)),
        classes(empty(like, {batch, most}, ScalarType::Long)),
        counts(empty(like, {batch}, ScalarType::Long)) {}

  Detections data() {
    return {boxes.mutable_data_ptr<float>(), scores.mutable_data_ptr<float>(),
            classes.mutable_data_ptr<int64_t>(), counts.mutable_data_ptr<int64_t>()};
  }

  // As ops return them.
  auto tuple() const { return std::make_tuple(boxes, scores, classes, counts); }

 private:
  using ScalarType = torch::headeronly::ScalarType;

  static torch::stable::Tensor empty(const torch::stable::Tensor& like,
                                     std::initializer_list<int64_t> sizes, ScalarType type) {
    return torch::stable::empty({sizes.begin(), sizes.size()}, type, std::nullopt, like.device());
  }
};

}  // namespace seaformer
