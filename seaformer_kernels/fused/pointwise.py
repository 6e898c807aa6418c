"""A 1x1 convolution with its activation as one op."""

from __future__ import annotations

import torch
from torch import Tensor

from seaformer_kernels import ops
from seaformer_kernels.fused.block import FusedLayer
from seaformer_kernels.fused.folding import Folded


class FusedPointwise(FusedLayer):
    """A 1x1 convolution for inference; channels_last maps of the type of the weights out.

    Args:
        packed: from `ops.pack_pointwise`.
        out_channels: as packed.
    """

    def __init__(self, packed: Tensor, out_channels: int):
        super().__init__(packed=packed)
        self.out_channels = out_channels

    @classmethod
    def from_folded(
        cls, folded: Folded, activation: str = "none", *, dtype: torch.dtype = torch.float32
    ) -> FusedPointwise:
        """The fused form of a convolution and what is behind it, in this type."""
        packed = ops.pack_pointwise(folded.rounded(), activation=activation, dtype=dtype)
        return cls(packed, len(folded.bias))

    def _run(self, x: Tensor) -> Tensor:
        return ops.pointwise(x, self.packed, self.out_channels)
