// The op seaformer::upsampling_head. Its fake kernel and documentation are in Python.
#include "blocks/upsampling_head.h"

#include <torch/csrc/stable/library.h>

#include "../packed_tensor.h"
#include "../torch_parallel.h"
#include "core/workspace.h"

namespace seaformer {
namespace {

constexpr const char* kOp = "upsampling_head";

Tensor upsampling_head_op(const Tensor& x, const Tensor& packed, int64_t num_classes) {
  const PackedHeader& header = packed_header(kOp, PackedKind::kUpsamplingHead, packed);
  const Tensor input = channels_last_map(kOp, "x", x, header);
  require(input.size(1) == header.in_channels, kOp, ": expected x with the ", header.in_channels,
          " channels of the packed weights, got ", shape_text(x.sizes()));
  require(class_count(header) == num_classes, kOp, ": expected packed weights for ", num_classes,
          " classes, got ", class_count(header));

  const MapShape shape = map_shape(input);
  Tensor logits = empty_map(input, element_of(header), shape.batch, num_classes, 2 * shape.height,
                            2 * shape.width);
  if (shape.batch == 0) return logits;
  const TorchParallel parallel;
  const Workspace workspace(upsampling_head_workspace(shape, header, parallel.threads()));
  upsampling_head(shape, header, input.const_data_ptr(), logits.mutable_data_ptr(),
                  /*winners=*/nullptr, workspace.data(), parallel);
  return logits;
}

}  // namespace
}  // namespace seaformer

STABLE_TORCH_LIBRARY_FRAGMENT(seaformer, m) {
  m.def("upsampling_head(Tensor x, Tensor packed, int num_classes) -> Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(seaformer, CPU, m) {
  m.impl("upsampling_head", TORCH_BOX(&seaformer::upsampling_head_op));
}
