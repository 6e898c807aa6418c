"""A depthwise convolution as one op."""

from __future__ import annotations

import torch
from torch import Tensor

from seaformer_kernels import ops
from seaformer_kernels.fused.block import FusedLayer
from seaformer_kernels.fused.folding import Folded


class FusedDepthwise(FusedLayer):
    """A depthwise convolution and its activation for inference; channels_last maps out.

    Args:
        packed: from `ops.pack_depthwise`.
        kernel_size, stride: as packed.
    """

    def __init__(self, packed: Tensor, kernel_size: int, stride: int = 1):
        super().__init__(packed=packed)
        self.kernel_size = kernel_size
        self.stride = stride

    @classmethod
    def from_folded(
        cls,
        folded: Folded,
        *,
        stride: int = 1,
        padding: str = "symmetric",
        activation: str = "none",
        dtype: torch.dtype = torch.float32,
    ) -> FusedDepthwise:
        """The fused form of a convolution, batch norm folded in, in this type.

        Args:
            folded: weight [channels, 1, k, k] and bias.
            stride, padding, activation: as `ops.pack_depthwise` has them.
        """
        packed = ops.pack_depthwise(
            folded.rounded(), stride=stride, padding=padding, activation=activation, dtype=dtype
        )
        return cls(packed, folded.weight.shape[2], stride)

    def _run(self, x: Tensor) -> Tensor:
        return ops.depthwise(x, self.packed, self.kernel_size, self.stride)
