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
  const Tensor input = channels_last_map(kOp, "x", x, header);
  require(out_channels > 0, kOp, ": expected out_channels to be positive, got ", out_channels);
  require(header.in_channels == input.size(1) && header.out_channels == out_channels, kOp,
          ": expected packed weights for ", input.size(1), " input and ", out_channels,
          " output channels, got ", header.in_channels, " and ", header.out_channels);
  const int64_t batch = input.size(0), height = input.size(2), width = input.size(3);
  Tensor output = empty_map(input, element_of(header), batch, out_channels, height, width);
  pointwise(batch * height * width, header, false, input.const_data_ptr(),
            output.mutable_data_ptr(), TorchParallel());
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
