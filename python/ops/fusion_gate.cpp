// The op seaformer::fusion_gate. Its fake kernel, autograd and documentation are in Python.
#include "blocks/fusion_gate.h"

#include <torch/csrc/stable/library.h>

#include "../gate_shape.h"
#include "../torch_parallel.h"

namespace seaformer {
namespace {

constexpr const char* kOp = "fusion_gate";

Tensor fusion_gate_op(const Tensor& given_local, const Tensor& given_coarse, const Tensor& packed,
                      int64_t out_channels) {
  require(out_channels > 0, kOp, ": expected out_channels to be positive, got ", out_channels);
  const PackedHeader& header = packed_header(kOp, PackedKind::kFusionGate, packed);
  const Tensor local = channels_last_map(kOp, "local", given_local, header);
  const Tensor coarse = channels_last_map(kOp, "coarse", given_coarse, header);
  const GateShape shape = gate_shape(kOp, local, coarse, header);
  require(header.out_channels == out_channels, kOp, ": expected packed weights for ", out_channels,
          " output channels, got ", header.out_channels);

  Tensor output = empty_map(local, element_of(header), shape.local.batch, out_channels,
                            shape.local.height, shape.local.width);
  if (shape.local.batch == 0) return output;
  const TorchParallel parallel;
  const Workspace workspace(fusion_gate_workspace(shape, header, parallel.threads()));
  fusion_gate(shape, header, local.const_data_ptr(), coarse.const_data_ptr(),
              output.mutable_data_ptr(), workspace.data(), parallel);
  return output;
}

}  // namespace
}  // namespace seaformer

STABLE_TORCH_LIBRARY_FRAGMENT(seaformer, m) {
  m.def("fusion_gate(Tensor local, Tensor coarse, Tensor packed, int out_channels) -> Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(seaformer, CPU, m) {
  m.impl("fusion_gate", TORCH_BOX(&seaformer::fusion_gate_op));
}
