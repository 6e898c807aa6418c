// The op seaformer::inverted_residual. Its fake kernel and documentation are in Python.
#include "blocks/inverted_residual.h"

#include <torch/csrc/stable/library.h>

#include "../packed_tensor.h"
#include "../torch_parallel.h"
#include "core/workspace.h"

namespace seaformer {
namespace {

constexpr const char* kOp = "inverted_residual";

Tensor inverted_residual_op(const Tensor& x, const Tensor& packed, int64_t out_channels,
                            int64_t kernel_size, int64_t stride, bool residual) {
  const PackedHeader& header = packed_header(kOp, PackedKind::kInvertedResidual, packed);
  const Tensor input = channels_last_map(kOp, "x", x, header);
  require(input.size(1) == header.in_channels, kOp, ": expected x with the ", header.in_channels,
          " channels of the packed weights, got ", shape_text(x.sizes()));
  require(out_channels == header.out_channels && kernel_size == header.kernel_size &&
              stride == header.stride,
          kOp, ": expected out_channels, kernel_size and stride of the packed weights, ",
          header.out_channels, ", ", header.kernel_size, " and ", header.stride, ", got ",
          out_channels, ", ", kernel_size, " and ", stride);
  require(!residual || (stride == 1 && header.in_channels == header.out_channels), kOp,
          ": expected stride 1 and equal widths for a residual, got stride ", stride, ", ",
          header.in_channels, " channels in and ", header.out_channels, " out");

  const MapShape shape = map_shape(input);
  Tensor output = empty_map(input, element_of(header), shape.batch, out_channels,
                            inverted_residual_out(header, shape.height),
                            inverted_residual_out(header, shape.width));
  if (shape.batch == 0) return output;
  const TorchParallel parallel;
  const Workspace workspace(inverted_residual_workspace(shape, header, parallel.threads()));
  inverted_residual(shape, header, residual, input.const_data_ptr(), output.mutable_data_ptr(),
                    workspace.data(), parallel);
  return output;
}

}  // namespace
}  // namespace seaformer

STABLE_TORCH_LIBRARY_FRAGMENT(seaformer, m) {
  m.def(
      "inverted_residual(Tensor x, Tensor packed, int out_channels, int kernel_size, int stride, "
      "bool residual) -> Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(seaformer, CPU, m) {
  m.impl("inverted_residual", TORCH_BOX(&seaformer::inverted_residual_op));
}
