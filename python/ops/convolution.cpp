// The op seaformer::convolution. Its fake kernel and documentation are in Python.
#include "blocks/convolution.h"

#include <torch/csrc/stable/library.h>

#include <vector>

#include "../packed_tensor.h"
#include "../torch_parallel.h"
#include "core/workspace.h"

namespace seaformer {
namespace {

constexpr const char* kOp = "convolution";

// No padding stands for TensorFlow's "same".
bool is_window(const PackedHeader& packed, const std::vector<int64_t>& kernel_size, int64_t stride,
               const std::vector<int64_t>& padding, int64_t dilation_) {
  const std::vector<int64_t> packed_padding =
      pads_same(packed) ? std::vector<int64_t>{}
                        : std::vector<int64_t>{row_padding(packed), column_padding(packed)};
  return kernel_size == std::vector<int64_t>{packed.kernel_size, kernel_width(packed)} &&
         stride == packed.stride && padding == packed_padding && dilation_ == dilation(packed);
}

Tensor convolution_op(const Tensor& x, const Tensor& packed, int64_t out_channels,
                      std::vector<int64_t> kernel_size, int64_t stride,
                      std::vector<int64_t> padding, int64_t dilation_) {
  const PackedHeader& header = packed_header(kOp, PackedKind::kConvolution, packed);
  const Tensor input = channels_last_map(kOp, "x", x, header);
  require(header.in_channels == input.size(1) && header.out_channels == out_channels, kOp,
          ": expected packed weights for ", input.size(1), " input and ", out_channels,
          " output channels, got ", header.in_channels, " and ", header.out_channels);
  require(is_window(header, kernel_size, stride, padding, dilation_), kOp,
          ": expected kernel_size, stride, padding and dilation of the packed weights, ",
          header.kernel_size, "x", kernel_width(header), ", ", header.stride, ", ",
          pads_same(header) ? "same" : "", row_padding(header), "x", column_padding(header),
          " and ", dilation(header), ", got others");
  const MapShape shape = map_shape(input), out = window_of(header).out(shape);
  require(out.height > 0 && out.width > 0, kOp,
          ": expected x of at least the window's size with its padding, got ",
          shape_text(x.sizes()));
  Tensor output =
      empty_map(input, element_of(header), out.batch, out_channels, out.height, out.width);
  const TorchParallel parallel;
  const Workspace workspace(convolution_workspace(shape, header, parallel.threads()));
  convolution(shape, header, input.const_data_ptr(), output.mutable_data_ptr(), workspace.data(),
              parallel);
  return output;
}

}  // namespace
}  // namespace seaformer

STABLE_TORCH_LIBRARY_FRAGMENT(seaformer, m) {
  m.def(
      "convolution(Tensor x, Tensor packed, int out_channels, int[] kernel_size, int stride, int[] "
      "padding, int dilation) -> Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(seaformer, CPU, m) {
  m.impl("convolution", TORCH_BOX(&seaformer::convolution_op));
}
