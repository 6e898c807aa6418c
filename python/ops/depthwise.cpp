// The op seaformer::depthwise. Its fake kernel and documentation are in Python.
#include "blocks/depthwise.h"

#include <torch/csrc/stable/library.h>

#include "../packed_tensor.h"
#include "../torch_parallel.h"
#include "core/workspace.h"

namespace seaformer {
namespace {

constexpr const char* kOp = "depthwise";

Tensor depthwise_op(const Tensor& x, const Tensor& packed, int64_t kernel_size, int64_t stride) {
  const PackedHeader& header = packed_header(kOp, PackedKind::kDepthwise, packed);
  const Tensor input = channels_last_map(kOp, "x", x, header);
  require(input.size(1) == header.in_channels, kOp, ": expected x with the ", header.in_channels,
          " channels of the packed weights, got ", shape_text(x.sizes()));
  require(kernel_size == header.kernel_size && stride == header.stride, kOp,
          ": expected kernel_size and stride of the packed weights, ", header.kernel_size, " and ",
          header.stride, ", got ", kernel_size, " and ", stride);
  const MapShape shape = map_shape(input);
  Tensor output =
      empty_map(input, element_of(header), shape.batch, header.out_channels,
                depthwise_out(header, shape.height), depthwise_out(header, shape.width));
  if (shape.batch == 0) return output;
  const TorchParallel parallel;
  const Workspace workspace(depthwise_workspace(shape, header, parallel.threads()));
  depthwise(shape, header, input.const_data_ptr(), output.mutable_data_ptr(), workspace.data(),
            parallel);
  return output;
}

}  // namespace
}  // namespace seaformer

STABLE_TORCH_LIBRARY_FRAGMENT(seaformer, m) {
  m.def("depthwise(Tensor x, Tensor packed, int kernel_size, int stride) -> Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(seaformer, CPU, m) {
  m.impl("depthwise", TORCH_BOX(&seaformer::depthwise_op));
}
