"""The inverted residual as one op."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from seaformer_kernels import ops
from seaformer_kernels.fused.block import (
    FusedBlock,
    Unservable,
    check_forward,
    check_forwards,
    layers,
)
from seaformer_kernels.fused.folding import Folded, convolution, fold_conv_bn
from seaformer_kernels.fused.int8 import enter_int8, leave_int8
from seaformer_kernels.modules.conv_bn import ConvBN
from seaformer_kernels.modules.inverted_residual import InvertedResidual


@dataclass(frozen=True)
class FoldedSqueezeExcite:
    """The layers of squeeze-and-excite and what is behind them, as `ops.SqueezeExcite` has it."""

    reduce: Folded
    expand: Folded
    activation: str = "relu"
    gate: str = "hardsigmoid"

    def rounded(self) -> ops.SqueezeExcite:
        """In float32, as ops pack them."""
        layers = self.reduce.rounded(), self.expand.rounded()
        return ops.SqueezeExcite(*layers, self.activation, self.gate)


@dataclass(frozen=True)
class FoldedInvertedResidual:
    """The convolutions of a plain block, batch norms folded in.

    Attributes:
        expand: None if there is no expansion.
        depthwise, project: the others.
        kernel_size, stride: of the depthwise one.
        expand_activation, depthwise_activation, project_activation: behind them, as
            `ops.pack_inverted_residual` has them.
        padding: of the depthwise one, "symmetric" or TensorFlow's "same".
        squeeze: behind the depthwise one and its activation; None if there is none.
    """

    expand: Folded | None
    depthwise: Folded
    project: Folded
    kernel_size: int
    stride: int
    expand_activation: str = "relu"
    depthwise_activation: str = "relu"
    project_activation: str = "none"
    padding: str = "symmetric"
    squeeze: FoldedSqueezeExcite | None = None

    @classmethod
    def of(cls, block: nn.Module) -> FoldedInvertedResidual:
        """Raises Unservable unless there are kernels for the block."""
        check_forwards(block, InvertedResidual)
        check_forward(block.conv, nn.Sequential)
        expansion = [ConvBN, nn.ReLU] if len(block.conv) == 5 else []
        *expand, depthwise, _, project = layers(block.conv, *expansion, ConvBN, nn.ReLU, ConvBN)
        conv = convolution(depthwise)
        (kernel_size, _), (stride, _) = conv.kernel_size, conv.stride
        if kernel_size not in (3, 5) or stride not in (1, 2):
            raise Unservable(
                f"has a depthwise convolution with kernel size {kernel_size} and stride {stride}; "
                "there are kernels for sizes 3 and 5 and strides 1 and 2"
            )
        return cls(
            fold_conv_bn(expand[0]) if expand else None,
            fold_conv_bn(depthwise, kernel_size=kernel_size, stride=stride, depthwise=True),
            fold_conv_bn(project),
            kernel_size,
            stride,
        )

    def packed(self, dtype: torch.dtype) -> Tensor:
        """Weights for `ops.inverted_residual`."""
        return ops.pack_inverted_residual(
            self.expand and self.expand.rounded(),
            self.depthwise.rounded(),
            self.project.rounded(),
            stride=self.stride,
            expand_activation=self.expand_activation,
            depthwise_activation=self.depthwise_activation,
            padding=self.padding,
            project_activation=self.project_activation,
            squeeze=self.squeeze and self.squeeze.rounded(),
            dtype=dtype,
        )


_Block = TypeVar("_Block", bound="FusedInvertedResidual")


class FusedInvertedResidual(FusedBlock):
    """An `InvertedResidual` for inference; channels_last maps of the type of the weights out.

    One of int8 takes and gives float32 maps of whole multiples of their scales.

    Args:
        packed: from `ops.pack_inverted_residual` or `ops.pack_int8_inverted_residual`.
        out_channels, kernel_size, stride: as packed.
        residual: whether the input is added to the output.
    """

    def __init__(
        self,
        packed: Tensor,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        residual: bool = False,
    ):
        super().__init__(packed=packed)
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.residual = residual

    @classmethod
    def of(
        cls, block: InvertedResidual, *, dtype: torch.dtype = torch.float32
    ) -> FusedInvertedResidual:
        """The fused form of a plain block, in this type."""
        return cls.from_folded(FoldedInvertedResidual.of(block), block.residual, dtype=dtype)

    @classmethod
    def from_folded(
        cls: type[_Block],
        folded: FoldedInvertedResidual,
        residual: bool = False,
        *,
        dtype: torch.dtype = torch.float32,
    ) -> _Block:
        """The fused form of these convolutions, in this type."""
        return cls(
            folded.packed(dtype),
            len(folded.project.bias),
            folded.kernel_size,
            folded.stride,
            residual,
        )

    def with_residual(self) -> FusedInvertedResidual | None:
        adds = self.stride == 1 and self._facts["packed"]["in_channels"] == self.out_channels
        if self.residual or not adds or self.dtype == torch.int8:
            return None
        return FusedInvertedResidual(
            self.packed, self.out_channels, self.kernel_size, residual=True
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.dtype == torch.int8:
            facts = self._facts["packed"]
            q = enter_int8(x, self.packed, facts["input"])
            return leave_int8(self._run(q), self.packed, facts.get("output", "none"))
        return self._run(self.in_dtype(x))

    def _run(self, x: Tensor) -> Tensor:
        return ops.inverted_residual(
            x,
            self.packed,
            self.out_channels,
            self.kernel_size,
            self.stride,
            self.residual,
        )
