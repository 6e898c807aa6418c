// The op seaformer::classification_head. Its fake kernel, autograd and documentation are in Python.
#include "blocks/classification_head.h"

#include <torch/csrc/stable/library.h>

#include "../packed_tensor.h"
#include "../torch_parallel.h"
#include "core/workspace.h"

namespace seaformer {
namespace {

constexpr const char* kOp = "classification_head";

Tensor classification_head_op(const Tensor& given, const Tensor& packed, int64_t num_classes) {
  require(num_classes > 0, kOp, ": expected num_classes to be positive, got ", num_classes);
  const PackedHeader& header = packed_header(kOp, PackedKind::kClassificationHead, packed);
  const Tensor x = channels_last_map(kOp, "x", given, header);
  require(header.in_channels == x.size(1), kOp, ": expected packed weights for ", x.size(1),
          " channels, got ", header.in_channels);
  require(header.out_channels == num_classes, kOp, ": expected packed weights for ", num_classes,
          " classes, got ", header.out_channels);

  const MapShape shape = map_shape(x);
  const int64_t sizes[2] = {shape.batch, num_classes};
  Tensor logits = torch::stable::empty({sizes, 2}, x.scalar_type(), std::nullopt, x.device());
  if (shape.batch == 0) return logits;
  const TorchParallel parallel;
  const Workspace workspace(classification_head_workspace(shape, header, parallel.threads()));
  classification_head(shape, header, x.const_data_ptr(), logits.mutable_data_ptr(),
                      workspace.data(), parallel);
  return logits;
}

}  // namespace
}  // namespace seaformer

STABLE_TORCH_LIBRARY_FRAGMENT(seaformer, m) {
  m.def("classification_head(Tensor x, Tensor packed, int num_classes) -> Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(seaformer, CPU, m) {
  m.impl("classification_head", TORCH_BOX(&seaformer::classification_head_op));
}
