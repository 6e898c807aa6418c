// The ops seaformer::network_logits, _maps, _labels and _detections. Their fake kernels, autograd
// and documentation are in Python.
#include "network/network.h"

#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <cstdlib>
#include <tuple>
#include <vector>

#include "../detection_tensors.h"
#include "../image_tensor.h"
#include "../labels.h"
#include "../packed_tensor.h"
#include "../torch_parallel.h"
#include "blocks/kept_boxes.h"

namespace seaformer {
namespace {

Network network_of(const char* op, const Tensor& plan) {
  require(plan.scalar_type() == ScalarType::Byte && plan.dim() == 1 && plan.is_contiguous(), op,
          ": expected plan as a contiguous one-dimensional uint8 tensor, got shape ",
          shape_text(plan.sizes()),
          plan.scalar_type() == ScalarType::Byte ? "" : " of another dtype");
  // Its checksum was for the way through files; here this takes microseconds a call.
  return Network(Plan(plan.const_data_ptr<uint8_t>(), static_cast<uint64_t>(plan.size(0))));
}

Network network_of(const char* op, const Tensor& plan, int64_t num_classes) {
  const Network network = network_of(op, plan);
  require(network.plan().header().classes == num_classes, op, ": expected a plan for ", num_classes,
          " classes, got ", network.plan().header().classes);
  return network;
}

// Images of which there are none have sizes, too.
MapShape at_least_one(MapShape shape) {
  if (shape.batch == 0) shape.batch = 1;
  return shape;
}

Tensor network_logits_op(const Tensor& given, const Tensor& plan, int64_t num_classes,
                         int64_t downsampling, int64_t upsampling,
                         std::optional<ScalarType> dtype) {
  constexpr const char* kOp = "network_logits";
  const ImageTensor image(kOp, given);
  const Network network = network_of(kOp, plan, num_classes);
  const Element element = network.plan().output_element(0);
  check_result_type(kOp, dtype, element);
  const MapShape shape = image.shape();
  const MapSize size = network.logits_size(at_least_one(shape));
  const auto expected = [&](int64_t side) { return ((side - 1) / downsampling + 1) * upsampling; };
  Tensor logits;
  if (network.plan().task() == Task::kClassification) {
    require(downsampling == 0, kOp, ": expected downsampling 0 for a classification network, got ",
            downsampling);
    const int64_t sizes[2] = {shape.batch, num_classes};
    logits = torch::stable::empty({sizes, 2}, scalar_type(element), std::nullopt,
                                  image.tensor().device());
  } else {
    require(downsampling > 0 && upsampling > 0 && upsampling <= downsampling &&
                size.height == expected(shape.height) && size.width == expected(shape.width),
            kOp, ": expected the downsampling and upsampling of the plan, which makes ",
            size.height, "x", size.width, " of ", shape.height, "x", shape.width, ", got ",
            downsampling, " and ", upsampling);
    logits = empty_map(image.tensor(), element, shape.batch, num_classes, size.height, size.width);
  }
  if (shape.batch == 0) return logits;
  network.logits(shape, image.view(), element, logits.mutable_data_ptr(), TorchParallel());
  return logits;
}

// How long a side of a map is said to be, of an image's; see ops.network_maps.
int64_t told_side(const char* op, int64_t side, const int64_t* numbers) {
  const int64_t add = numbers[0], divide = numbers[1], times = numbers[2];
  require(std::abs(add) <= kMaxImageSide && divide >= 0 && times >= 1 && times <= kMaxImageSide, op,
          ": expected outputs of positive sizes, got one of ", add, ", ", divide, " and ", times);
  if (divide == 0) return times;
  const int64_t sum = std::max<int64_t>(side + add, 0);
  return sum / divide * times;
}

std::vector<Tensor> network_maps_op(const Tensor& given, const Tensor& plan,
                                    const std::vector<int64_t>& outputs) {
  constexpr const char* kOp = "network_maps";
  constexpr std::size_t kNumbers = 8;  // of each map
  const ImageTensor image(kOp, given);
  const Network network = network_of(kOp, plan);
  const MapShape shape = image.shape();
  const std::vector<MapSize> sizes = network.output_sizes(at_least_one(shape));
  require(outputs.size() == kNumbers * sizes.size(), kOp, ": expected outputs as ", kNumbers,
          " numbers of each of the plan's ", sizes.size(), " maps, got ", outputs.size());
  std::vector<Tensor> maps;
  std::vector<OutputMap> places;
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    const int64_t* const numbers = &outputs[kNumbers * k];
    const MapSize& size = sizes[k];
    const Element element = network.plan().output_element(static_cast<int64_t>(k));
    const int64_t height = told_side(kOp, shape.height, numbers + 2),
                  width = told_side(kOp, shape.width, numbers + 5);
    require(numbers[0] == size.channels && numbers[1] == static_cast<int64_t>(element) &&
                height == size.height && width == size.width,
            kOp, ": expected outputs as the plan has them, map ", k, " of ", size.channels,
            " channels, ", element_name(element), " and ", size.height, "x", size.width, ", got ",
            numbers[0], " channels, type ", numbers[1], " and ", height, "x", width);
    maps.push_back(
        empty_map(image.tensor(), element, shape.batch, size.channels, size.height, size.width));
    places.push_back({maps.back().mutable_data_ptr(), element});
  }
  if (shape.batch > 0) network.maps(shape, image.view(), places, TorchParallel());
  return maps;
}

Tensor network_labels_op(const Tensor& given, const Tensor& plan, int64_t num_classes,
                         const std::vector<int64_t>& size) {
  constexpr const char* kOp = "network_labels";
  require(size.size() == 2 && size[0] > 0 && size[1] > 0, kOp,
          ": expected size to be (height, width), both positive, got ", shape_text(size));
  const ImageTensor image(kOp, given);
  const Network network = network_of(kOp, plan, num_classes);
  const MapShape shape = image.shape();
  Tensor labels = empty_labels(image.tensor(), {shape.batch, num_classes, 1, 1, size[0], size[1]});
  if (shape.batch == 0) return labels;
  const TorchParallel parallel;
  if (num_classes <= 256) {
    network.labels(shape, image.view(), size[0], size[1], labels.mutable_data_ptr<uint8_t>(),
                   parallel);
  } else {
    network.labels(shape, image.view(), size[0], size[1], labels.mutable_data_ptr<int32_t>(),
                   parallel);
  }
  return labels;
}

std::tuple<Tensor, Tensor, Tensor, Tensor> network_detections_op(
    const Tensor& given, const Tensor& plan, int64_t num_classes, const std::vector<int64_t>& size,
    double score_threshold, int64_t top_k, double iou_threshold, int64_t max_detections) {
  constexpr const char* kOp = "network_detections";
  require(size.size() == 2, kOp, ": expected size to be (height, width), got ", shape_text(size));
  require(max_detections >= 1 && max_detections <= kMaxDetections, kOp, ": expected 1 to ",
          kMaxDetections, " detections, got ", max_detections);
  const ImageTensor image(kOp, given);
  const Network network = network_of(kOp, plan, num_classes);
  const MapShape shape = image.shape();
  DetectionShape how = network.detection_shape(at_least_one(shape));
  how.height = size[0], how.width = size[1];
  how.score_threshold = rounded_down(score_threshold), how.top_k = top_k;
  how.iou_threshold = iou_threshold, how.max_detections = max_detections;
  DetectionTensors found(image.tensor(), shape.batch, max_detections);
  if (shape.batch > 0) {
    network.detections(shape, image.view(), how, found.data(), TorchParallel());
  }
  return found.tuple();
}

}  // namespace
}  // namespace seaformer

STABLE_TORCH_LIBRARY_FRAGMENT(seaformer, m) {
  m.def(
      "network_logits(Tensor image, Tensor plan, int num_classes, int downsampling, int "
      "upsampling=1, ScalarType? dtype=None) -> Tensor");
  m.def("network_maps(Tensor image, Tensor plan, int[] outputs) -> Tensor[]");
  m.def(
      "network_detections(Tensor image, Tensor plan, int num_classes, SymInt[2] size, float "
      "score_threshold, int top_k, float iou_threshold, int max_detections) -> (Tensor, Tensor, "
      "Tensor, Tensor)");
  m.def("network_labels(Tensor image, Tensor plan, int num_classes, SymInt[2] size) -> Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(seaformer, CPU, m) {
  m.impl("network_logits", TORCH_BOX(&seaformer::network_logits_op));
  m.impl("network_maps", TORCH_BOX(&seaformer::network_maps_op));
  m.impl("network_detections", TORCH_BOX(&seaformer::network_detections_op));
  m.impl("network_labels", TORCH_BOX(&seaformer::network_labels_op));
}
