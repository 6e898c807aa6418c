"""A dense convolution as one op."""

from __future__ import annotations

import torch
from torch import Tensor

from seaformer_kernels import ops
from seaformer_kernels.fused.block import FusedLayer
from seaformer_kernels.fused.folding import Folded
from seaformer_kernels.ops._window import Padding, padding_of


class FusedConvolution(FusedLayer):
    """A dense convolution and its activation for inference; channels_last maps out.

    Args:
        packed: from `ops.pack_convolution`.
        out_channels, kernel_size, stride, padding, dilation: as packed.
    """

    def __init__(
        self,
        packed: Tensor,
        out_channels: int,
        kernel_size: tuple[int, int],
        stride: int = 1,
        padding: Padding = (0, 0),
        dilation: int = 1,
    ):
        super().__init__(packed=packed)
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding_of(padding)
        self.dilation = dilation

    @classmethod
    def from_folded(
        cls,
        folded: Folded,
        *,
        stride: int = 1,
        padding: Padding = (0, 0),
        dilation: int = 1,
        activation: str = "none",
        dtype: torch.dtype = torch.float32,
    ) -> FusedConvolution:
        """The fused form of a convolution, batch norm folded in, in this type.

        Args:
            folded: weight [out, in, rows, columns] and bias.
            stride, padding, dilation, activation: as `ops.pack_convolution` has them.
        """
        packed = ops.pack_convolution(
            folded.rounded(),
            stride=stride,
            padding=padding,
            dilation=dilation,
            activation=activation,
            dtype=dtype,
        )
        rows, columns = folded.weight.shape[2:]
        return cls(packed, len(folded.bias), (rows, columns), stride, padding, dilation)

    def _run(self, x: Tensor) -> Tensor:
        return ops.convolution(
            x,
            self.packed,
            self.out_channels,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
        )
