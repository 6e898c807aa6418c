"""Batch norm folded into the convolution before it."""

import copy
from dataclasses import dataclass

from torch import Tensor, nn

from seaformer_kernels.fused.batch_norm import scale_and_shift
from seaformer_kernels.fused.block import Unservable, check_forwards, check_type
from seaformer_kernels.modules.conv_bn import ConvBN


@dataclass(frozen=True)
class Folded:
    """Weight [out, ...] and bias [out] of a layer in float64, until `rounded`."""

    weight: Tensor
    bias: Tensor

    def scaled(self, scale: Tensor) -> "Folded":
        """The same layer with each output times its scale [out]."""
        return Folded(self.weight * _along_outputs(scale, self.weight), self.bias * scale)

    def normed(self, scale: Tensor, shift: Tensor) -> "Folded":
        """The same layer with a batch norm behind it, which does scale * x + shift."""
        scaled = self.scaled(scale)
        return Folded(scaled.weight, scaled.bias + shift)

    def rounded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias in float32, as ops pack them."""
        return self.weight.float(), self.bias.float()


def fold(layer: nn.Conv2d | nn.Linear) -> Folded:
    """A layer without batch norm."""
    return folded_of(layer.weight, layer.bias)


def folded_of(weight: Tensor, bias: Tensor | None) -> Folded:
    """A layer with these weights, and perhaps a bias."""
    weight = weight.detach().double()
    return Folded(weight, weight.new_zeros(len(weight)) if bias is None else bias.detach().double())


def convolution(block: nn.Module) -> nn.Conv2d:
    """The convolution of a ConvBN; raises Unservable if the block is another."""
    check_type(block, ConvBN)
    if len(block) != 2:
        raise Unservable(f"has a ConvBN of {len(block)} layers")
    conv, _ = block
    check_type(conv, nn.Conv2d)
    return conv


def fold_conv_bn(
    block: nn.Module, *, kernel_size: int = 1, stride: int = 1, depthwise: bool = False
) -> Folded:
    """The convolution that a ConvBN in eval mode is, of just this kernel size, stride and groups.

    Raises:
        Unservable: it is another convolution, or its batch norm cannot be folded.
    """
    conv = convolution(block)
    check_conv(conv, kernel_size=kernel_size, stride=stride, depthwise=depthwise)
    return _fold(block)


def folded_convolution(block: ConvBN) -> nn.Conv2d:
    """The convolution that any ConvBN in eval mode is, float32.

    Raises:
        Unservable: its batch norm cannot be folded, or it does something else.
    """
    check_forwards(block, ConvBN)
    weight, bias = _fold(block).rounded()
    conv = copy.deepcopy(block[0])
    conv.weight = nn.Parameter(weight, requires_grad=False)
    conv.bias = nn.Parameter(bias, requires_grad=False)
    return conv


def check_conv(
    conv: nn.Conv2d, *, kernel_size: int = 1, stride: int = 1, depthwise: bool = False
) -> None:
    """Raises Unservable unless conv is a square one, padded with zeros by half its kernel."""
    half = kernel_size // 2
    wanted = {
        "kernel_size": (kernel_size, kernel_size),
        "stride": (stride, stride),
        "padding": (half, half),
        "dilation": (1, 1),
        "groups": conv.in_channels if depthwise else 1,
        "padding_mode": "zeros",
    }
    if depthwise:
        wanted["out_channels"] = conv.in_channels
    for name, value in wanted.items():
        if getattr(conv, name) != value:
            raise Unservable(f"has a convolution with {name} {getattr(conv, name)}, not {value}")


def _fold(block: ConvBN) -> Folded:
    conv = convolution(block)
    return fold(conv).normed(*scale_and_shift(block[1], conv.out_channels))


def _along_outputs(values: Tensor, weight: Tensor) -> Tensor:
    return values.view(-1, *[1] * (weight.dim() - 1))
