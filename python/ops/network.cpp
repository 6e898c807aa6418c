// The ops seaformer::network_logits and network_labels. Their fake kernels, autograd and
// documentation are in Python.
#include "network/network.h"

#include <torch/csrc/stable/library.h>

#include <vector>

#include "../image_tensor.h"
#include "../labels.h"
#include "../packed_tensor.h"
#include "../torch_parallel.h"

namespace seaformer {
namespace {

Network network_of(const char* op, const Tensor& plan, int64_t num_classes) {
  require(plan.scalar_type() == ScalarType::Byte && plan.dim() == 1 && plan.is_contiguous(), op,
          ": expected plan as a contiguous one-dimensional uint8 tensor, got shape ",
          shape_text(plan.sizes()),
          plan.scalar_type() == ScalarType::Byte ? "" : " of another dtype");
  // Its checksum was for the way through files; here this takes microseconds a call.
  const Network network(Plan(plan.const_data_ptr<uint8_t>(), static_cast<uint64_t>(plan.size(0))));
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

}  // namespace
}  // namespace seaformer

STABLE_TORCH_LIBRARY_FRAGMENT(seaformer, m) {
  m.def(
      "network_logits(Tensor image, Tensor plan, int num_classes, int downsampling, int "
      "upsampling=1, ScalarType? dtype=None) -> Tensor");
  m.def("network_labels(Tensor image, Tensor plan, int num_classes, SymInt[2] size) -> Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(seaformer, CPU, m) {
  m.impl("network_logits", TORCH_BOX(&seaformer::network_logits_op));
  m.impl("network_labels", TORCH_BOX(&seaformer::network_labels_op));
}
