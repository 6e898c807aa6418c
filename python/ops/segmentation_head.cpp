// The ops seaformer::segmentation_head and segmentation_labels. Their fake kernels, autograd and
// documentation are in Python.
#include "blocks/segmentation_head.h"

#include <torch/csrc/stable/library.h>

#include <vector>

#include "../gate_shape.h"
#include "../labels.h"
#include "../torch_parallel.h"
#include "kernels/upsample_argmax/upsample_argmax.h"

namespace seaformer {
namespace {

// A call of either op, checked.
struct Call {
  Call(const char* op, const Tensor& given_local, const Tensor& given_coarse, const Tensor& packed,
       int64_t num_classes)
      : header(packed_header(op, PackedKind::kSegmentationHead, packed)),
        local(channels_last_map(op, "local", given_local, header)),
        coarse(channels_last_map(op, "coarse", given_coarse, header)),
        shape(gate_shape(op, local, coarse, header)) {
    require(num_classes > 0, op, ": expected num_classes to be positive, got ", num_classes);
    require(class_count(header) == num_classes, op, ": expected packed weights for ", num_classes,
            " classes, got ", class_count(header));
  }

  Tensor logits(int32_t* winners, const Parallel& parallel) const {
    Tensor logits = empty_map(local, output_type(header).element, shape.local.batch,
                              class_count(header), shape.local.height, shape.local.width);
    if (shape.local.batch == 0) return logits;
    const Workspace workspace(segmentation_head_workspace(shape, header, parallel.threads()));
    segmentation_head(shape, header, local.const_data_ptr(), coarse.const_data_ptr(),
                      logits.mutable_data_ptr(), winners, workspace.data(), parallel);
    return logits;
  }

  const PackedHeader& header;
  Tensor local, coarse;
  GateShape shape;
};

Tensor segmentation_head_op(const Tensor& local, const Tensor& coarse, const Tensor& packed,
                            int64_t num_classes) {
  return Call("segmentation_head", local, coarse, packed, num_classes)
      .logits(nullptr, TorchParallel());
}

Tensor segmentation_labels_op(const Tensor& local, const Tensor& coarse, const Tensor& packed,
                              int64_t num_classes, const std::vector<int64_t>& size) {
  require(size.size() == 2 && size[0] > 0 && size[1] > 0,
          "segmentation_labels: expected size to be (height, width), both positive, got ",
          shape_text(size));
  const Call call("segmentation_labels", local, coarse, packed, num_classes);
  const TorchParallel parallel;
  const MapShape& map = call.shape.local;
  std::vector<int32_t> winners(map.pixels());
  const Element element = output_type(call.header).element;
  const bool of_use = num_classes >= kMinClasses && element == Element::kF32;
  const Tensor logits = call.logits(of_use ? winners.data() : nullptr, parallel);

  const UpsampleArgmaxShape shape{map.batch, num_classes, map.height, map.width, size[0], size[1]};
  Tensor labels = empty_labels(logits, shape);
  if (shape.batch == 0) return labels;
  Logits view = channels_last(logits.const_data_ptr(), shape, element);
  if (of_use) view.winners = winners.data();
  write_labels(shape, view, labels, parallel);
  return labels;
}

}  // namespace
}  // namespace seaformer

STABLE_TORCH_LIBRARY_FRAGMENT(seaformer, m) {
  m.def("segmentation_head(Tensor local, Tensor coarse, Tensor packed, int num_classes) -> Tensor");
  m.def(
      "segmentation_labels(Tensor local, Tensor coarse, Tensor packed, int num_classes, "
      "SymInt[2] size) -> Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(seaformer, CPU, m) {
  m.impl("segmentation_head", TORCH_BOX(&seaformer::segmentation_head_op));
  m.impl("segmentation_labels", TORCH_BOX(&seaformer::segmentation_labels_op));
}
