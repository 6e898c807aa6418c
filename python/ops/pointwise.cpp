// The op seaformer::pointwise. Its fake kernel and documentation are in Python.
#include "blocks/pointwise.h"

#include <torch/csrc/stable/library.h>

#include "../packed_tensor.h"
#include "../torch_parallel.h"

namespace seaformer {
namespace {

constexpr const char* kOp = "pointwise";

Tensor pointwise_op(const Tensor& x, const Tensor& packed, int64_t out_channels) {
  const PackedHeader& header = packed_header(kOp, PackedKind::kPointwise, packed);
  const Tensor input = channels_last_map(kOp, "x", x);
  require(input.size(1) == header.in_channels && out_channels == header.out_channels, kOp,
          ": expected the ", header.in_channels, " input and ", header.out_channels,
          " output channels of the packed weights, got x of shape ", shape_text(x.sizes()),
          " and out_channels ", out_channels);
  const int64_t batch = input.size(0), height = input.size(2), width = input.size(3);
  Tensor output = empty_map(input, batch, out_channels, height, width);
  pointwise(batch * height * width, header, input.const_data_ptr<float>(),
            output.mutable_data_ptr<float>(), TorchParallel());
  return output;
}

}  // namespace
}  // namespace seaformer

STABLE_TORCH_LIBRARY_FRAGMENT(seaformer, m) {
  m.def("pointwise(Tensor x, Tensor packed, int out_channels) -> Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(seaformer, CPU, m) {
  m.impl("pointwise", TORCH_BOX(&seaformer::pointwise_op));
}
