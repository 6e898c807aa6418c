"""The fusion gate as one op."""

import torch
from torch import Tensor, nn

from seaformer_kernels import ops
from seaformer_kernels.fused.block import FusedBlock, check_forwards
from seaformer_kernels.fused.folding import Folded, fold_conv_bn
from seaformer_kernels.fused.int8 import enter_int8, leave_int8
from seaformer_kernels.modules.fusion_gate import FusionGate


def folded_gate(gate: nn.Module) -> tuple[Folded, Folded]:
    """The local and the coarse convolution of a plain gate; raises Unservable if it is none."""
    check_forwards(gate, FusionGate)
    return fold_conv_bn(gate.local_embedding), fold_conv_bn(gate.global_act)


class FusedFusionGate(FusedBlock):
    """A `FusionGate` for inference; channels_last maps of the type of the weights out.

    One of int8 takes and gives float32 maps of whole multiples of their scales.

    Args:
        packed: from `ops.pack_fusion_gate` or `ops.pack_int8_fusion_gate`.
        out_channels: width of the output.
    """

    def __init__(self, packed: Tensor, out_channels: int):
        super().__init__(packed=packed)
        self.out_channels = out_channels

    @classmethod
    def of(cls, gate: FusionGate, *, dtype: torch.dtype = torch.float32) -> "FusedFusionGate":
        """The fused form of a plain gate, in this type."""
        return cls.from_folded(*folded_gate(gate), dtype=dtype)

    @classmethod
    def from_folded(
        cls, local: Folded, coarse: Folded, *, dtype: torch.dtype = torch.float32
    ) -> "FusedFusionGate":
        """The gate of these convolutions, in this type."""
        packed = ops.pack_fusion_gate(local.rounded(), coarse.rounded(), dtype=dtype)
        return cls(packed, len(local.bias))

    def forward(self, local_features: Tensor, global_features: Tensor) -> Tensor:
        if self.dtype == torch.int8:
            local = enter_int8(local_features, self.packed)
            coarse = enter_int8(global_features, self.packed, coarse=True)
            return leave_int8(self._run(local, coarse), self.packed)
        return self._run(self.in_dtype(local_features), self.in_dtype(global_features))

    def _run(self, local: Tensor, coarse: Tensor) -> Tensor:
        return ops.fusion_gate(local, coarse, self.packed, self.out_channels)
