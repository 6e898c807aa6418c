// The op seaformer::sea_attention. Its fake kernel and documentation are in Python.
#include "blocks/sea_attention.h"

#include <torch/csrc/stable/library.h>

#include "../packed_tensor.h"
#include "../torch_parallel.h"
#include "core/workspace.h"

namespace seaformer {
namespace {

constexpr const char* kOp = "sea_attention";

Tensor sea_attention_op(const Tensor& x, const Tensor& packed, int64_t num_heads, int64_t key_dim,
                        bool residual) {
  const PackedHeader& header = packed_header(kOp, PackedKind::kSeaAttention, packed);
  const Tensor input = channels_last_map(kOp, "x", x, header);
  require(input.size(1) == header.in_channels, kOp, ": expected x with the ", header.in_channels,
          " channels of the packed weights, got ", shape_text(x.sizes()));
  require(num_heads == header.heads && key_dim == header.key_dim, kOp,
          ": expected num_heads and key_dim of the packed weights, ", header.heads, " and ",
          header.key_dim, ", got ", num_heads, " and ", key_dim);

  const MapShape shape = map_shape(input);
  Tensor output =
      empty_map(input, element_of(header), shape.batch, input.size(1), shape.height, shape.width);
  if (shape.batch == 0) return output;
  const TorchParallel parallel;
  const Workspace workspace(sea_attention_workspace(shape, header, parallel.threads()));
  sea_attention(shape, header, residual, input.const_data_ptr(), output.mutable_data_ptr(),
                workspace.data(), parallel);
  return output;
}

}  // namespace
}  // namespace seaformer

STABLE_TORCH_LIBRARY_FRAGMENT(seaformer, m) {
  m.def(
      "sea_attention(Tensor x, Tensor packed, int num_heads, int key_dim, bool residual) -> "
      "Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(seaformer, CPU, m) {
  m.impl("sea_attention", TORCH_BOX(&seaformer::sea_attention_op));
}
