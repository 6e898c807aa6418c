// The op seaformer::decode_detections. Its fake kernel and documentation are in Python.
#include <torch/csrc/stable/library.h>

#include <tuple>
#include <vector>

#include "../detection_tensors.h"
#include "../map_tensor.h"
#include "../torch_parallel.h"
#include "blocks/detections.h"
#include "blocks/kept_boxes.h"

namespace seaformer {
namespace {

constexpr const char* kOp = "decode_detections";

void check_share(const char* name, double value) {
  require(value >= 0 && value <= 1, kOp, ": expected ", name, " from 0 to 1, got ", value);
}

void check_positive(const char* name, int64_t value) {
  require(value > 0, kOp, ": expected ", name, " to be positive, got ", value);
}

// Refuses maps that are not those of one detector.
void check_maps(const std::vector<Tensor>& class_maps, const std::vector<Tensor>& box_maps,
                const Tensor& anchors, const std::vector<int64_t>& strides) {
  const std::size_t levels = class_maps.size();
  require(levels > 0 && box_maps.size() == levels && strides.size() == levels, kOp,
          ": expected class_maps, box_maps and strides of as many levels, at least one, got ",
          levels, ", ", box_maps.size(), " and ", strides.size());
  require(anchors.dim() == 3 && anchors.size(0) == static_cast<int64_t>(levels) &&
              anchors.size(1) > 0 && anchors.size(2) == 2 &&
              anchors.scalar_type() == ScalarType::Float,
          kOp, ": expected float32 anchors of shape [", levels, ", anchors, 2], got ",
          shape_text(anchors.sizes()));
  const int64_t per_cell = anchors.size(1);
  const Tensor& first = class_maps[0];
  for (std::size_t l = 0; l < levels; ++l) {
    check_map_shape(kOp, "class_maps", class_maps[l]);
    check_map_shape(kOp, "box_maps", box_maps[l]);
    const auto element = one_element(kOp, {&first, &class_maps[l], &box_maps[l]});
    require(element.has_value(), kOp, ": expected ", element_names(), " maps, got another dtype");
    const MapShape shape = map_shape(class_maps[l]), other = map_shape(box_maps[l]);
    require(shape.batch == first.size(0) && other.batch == shape.batch &&
                other.height == shape.height && other.width == shape.width,
            kOp, ": expected both maps of a level of one batch, height and width, got ",
            shape_text(class_maps[l].sizes()), " and ", shape_text(box_maps[l].sizes()));
    require(class_maps[l].size(1) == first.size(1) && first.size(1) % per_cell == 0 &&
                box_maps[l].size(1) == 4 * per_cell,
            kOp, ": expected maps with a multiple of ", per_cell, " and with ", 4 * per_cell,
            " channels for ", per_cell, " anchors, got ", class_maps[l].size(1), " and ",
            box_maps[l].size(1));
    require(shape.height * shape.width * first.size(1) <= kMostLogits, kOp, ": expected at most ",
            kMostLogits, " logits of an image in a level, got ", shape_text(class_maps[l].sizes()));
    check_positive("strides", strides[l]);
  }
  require(first.size(1) / per_cell <= kMostDetectedClasses, kOp, ": expected at most ",
          kMostDetectedClasses, " classes, got ", first.size(1) / per_cell);
}

std::tuple<Tensor, Tensor, Tensor, Tensor> decode_detections_op(
    const std::vector<Tensor>& class_maps, const std::vector<Tensor>& box_maps,
    const Tensor& given_anchors, const std::vector<int64_t>& strides, int64_t height, int64_t width,
    double score_threshold, int64_t top_k, double iou_threshold, int64_t max_detections) {
  check_maps(class_maps, box_maps, given_anchors, strides);
  check_positive("height", height);
  check_positive("width", width);
  check_positive("top_k", top_k);
  check_positive("max_detections", max_detections);
  check_share("score_threshold", score_threshold);
  check_share("iou_threshold", iou_threshold);

  const Tensor anchors = torch::stable::contiguous(given_anchors);
  const int64_t batch = class_maps[0].size(0), per_cell = anchors.size(1);
  const DetectionShape shape{batch,  per_cell,      class_maps[0].size(1) / per_cell,
                             height, width,         rounded_down(score_threshold),
                             top_k,  iou_threshold, max_detections};
  std::vector<Tensor> kept;  // copies, for as long as the levels refer to them
  std::vector<DetectionLevel> levels;
  const auto pixels = [&](const Tensor& map) {
    kept.push_back(with_pixels(map));
    return pixel_maps(kept.back());
  };
  for (std::size_t l = 0; l < class_maps.size(); ++l) {
    levels.push_back({pixels(class_maps[l]), pixels(box_maps[l]),
                      anchors.const_data_ptr<float>() + static_cast<int64_t>(l) * per_cell * 2,
                      strides[l]});
  }
  const auto count = static_cast<int64_t>(levels.size());

  DetectionTensors found(anchors, batch, max_detections);
  const TorchParallel parallel;
  const Workspace workspace(detections_workspace(shape, levels.data(), count, parallel.threads()));
  decode_detections(shape, levels.data(), count, found.data(), workspace.data(), parallel);
  return found.tuple();
}

}  // namespace
}  // namespace seaformer

STABLE_TORCH_LIBRARY_FRAGMENT(seaformer, m) {
  m.def(
      "decode_detections(Tensor[] class_maps, Tensor[] box_maps, Tensor anchors, int[] strides, "
      "SymInt height, SymInt width, float score_threshold=0.05, int top_k=1000, float "
      "iou_threshold=0.5, int max_detections=100) -> (Tensor, Tensor, Tensor, Tensor)");
}
STABLE_TORCH_LIBRARY_IMPL(seaformer, CPU, m) {
  m.impl("decode_detections", TORCH_BOX(&seaformer::decode_detections_op));
}
