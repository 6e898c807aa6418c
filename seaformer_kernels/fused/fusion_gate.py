"""The fusion gate as one op."""

import torch
from torch import Tensor

from seaformer_kernels import ops
from seaformer_kernels.fused.block import FusedBlock, check_forwards
from seaformer_kernels.fused.folding import fold_conv_bn
from seaformer_kernels.modules.fusion_gate import FusionGate


class FusedFusionGate(FusedBlock):
    """A `FusionGate` for inference; channels_last maps of the type of the weights out.

    Args:
        packed: from `ops.pack_fusion_gate`.
        out_channels: width of the output.
    """

    def __init__(self, packed: Tensor, out_channels: int):
        super().__init__(packed=packed)
        self.out_channels = out_channels

    @classmethod
    def of(cls, gate: FusionGate, *, dtype: torch.dtype = torch.float32) -> "FusedFusionGate":
        """The fused form of a plain gate, in this type."""
        check_forwards(gate, FusionGate)
        local, coarse = fold_conv_bn(gate.local_embedding), fold_conv_bn(gate.global_act)
        packed = ops.pack_fusion_gate(local.rounded(), coarse.rounded(), dtype=dtype)
        return cls(packed, len(local.bias))

    def forward(self, local_features: Tensor, global_features: Tensor) -> Tensor:
        local, coarse = self.in_dtype(local_features), self.in_dtype(global_features)
        return ops.fusion_gate(local, coarse, self.packed, self.out_channels)
