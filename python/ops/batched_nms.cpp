// The op seaformer::batched_nms. Its fake kernel and documentation are in Python.
#include "blocks/batched_nms.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <vector>

#include "../checks.h"
#include "../torch_parallel.h"
#include "core/workspace.h"

namespace seaformer {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

constexpr const char* kOp = "batched_nms";

Tensor batched_nms_op(const Tensor& given_boxes, const Tensor& given_scores,
                      const Tensor& given_classes, double iou_threshold) {
  require(given_boxes.dim() == 2 && given_boxes.size(1) == 4, kOp,
          ": expected boxes of shape [count, 4], got ", shape_text(given_boxes.sizes()));
  const int64_t count = given_boxes.size(0);
  require(count <= kMostBoxes, kOp, ": expected at most ", kMostBoxes, " boxes, got ", count);
  require(given_scores.dim() == 1 && given_scores.size(0) == count && given_classes.dim() == 1 &&
              given_classes.size(0) == count,
          kOp, ": expected scores and classes of shape [", count, "], got ",
          shape_text(given_scores.sizes()), " and ", shape_text(given_classes.sizes()));
  require(given_boxes.scalar_type() == ScalarType::Float &&
              given_scores.scalar_type() == ScalarType::Float &&
              given_classes.scalar_type() == ScalarType::Long,
          kOp, ": expected float32 boxes and scores and int64 classes, got other dtypes");
  require(iou_threshold >= 0 && iou_threshold <= 1, kOp,
          ": expected iou_threshold from 0 to 1, got ", iou_threshold);

  const Tensor boxes = torch::stable::contiguous(given_boxes);
  const Tensor scores = torch::stable::contiguous(given_scores);
  const Tensor classes = torch::stable::contiguous(given_classes);
  std::vector<int64_t> indices(static_cast<std::size_t>(count));
  const TorchParallel parallel;
  const Workspace workspace(batched_nms_workspace(count, parallel.threads()));
  const int64_t kept = batched_nms(boxes.const_data_ptr<float>(), scores.const_data_ptr<float>(),
                                   classes.const_data_ptr<int64_t>(), count, iou_threshold,
                                   indices.data(), workspace.data(), parallel);
  const int64_t sizes[1] = {kept};
  Tensor result = torch::stable::empty({sizes, 1}, ScalarType::Long, std::nullopt, boxes.device());
  std::copy_n(indices.data(), kept, result.mutable_data_ptr<int64_t>());
  return result;
}

}  // namespace
}  // namespace seaformer

STABLE_TORCH_LIBRARY_FRAGMENT(seaformer, m) {
  m.def("batched_nms(Tensor boxes, Tensor scores, Tensor classes, float iou_threshold) -> Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(seaformer, CPU, m) {
  m.impl("batched_nms", TORCH_BOX(&seaformer::batched_nms_op));
}
