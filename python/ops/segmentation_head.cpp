// The op seaformer::segmentation_head. Its fake kernel, autograd and documentation are in Python.
#include "blocks/segmentation_head.h"

#include <torch/csrc/stable/library.h>

#include "../gate_shape.h"
#include "../torch_parallel.h"

namespace seaformer {
namespace {

constexpr const char* kOp = "segmentation_head";

Tensor segmentation_head_op(const Tensor& given_local, const Tensor& given_coarse,
                            const Tensor& packed, int64_t num_classes) {
  require(num_classes > 0, kOp, ": expected num_classes to be positive, got ", num_classes);
  const PackedHeader& header = packed_header(kOp, PackedKind::kSegmentationHead, packed);
  const Tensor local = channels_last_map(kOp, "local", given_local);
  const Tensor coarse = channels_last_map(kOp, "coarse", given_coarse);
  const GateShape shape = gate_shape(kOp, local, coarse, header);
  require(header.kernel_size == num_classes, kOp, ": expected packed weights for ", num_classes,
          " classes, got ", header.kernel_size);

  Tensor logits = empty_map(local, shape.batch, num_classes, shape.height, shape.width);
  if (shape.batch == 0) return logits;
  const TorchParallel parallel;
  const Workspace workspace(segmentation_head_workspace(shape, header, parallel.threads()));
  segmentation_head(shape, header, local.const_data_ptr<float>(), coarse.const_data_ptr<float>(),
                    logits.mutable_data_ptr<float>(), workspace.data(), parallel);
  return logits;
}

}  // namespace
}  // namespace seaformer

STABLE_TORCH_LIBRARY_FRAGMENT(seaformer, m) {
  m.def("segmentation_head(Tensor local, Tensor coarse, Tensor packed, int num_classes) -> Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(seaformer, CPU, m) {
  m.impl("segmentation_head", TORCH_BOX(&seaformer::segmentation_head_op));
}
