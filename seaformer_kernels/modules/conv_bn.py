"""Convolution and batch normalisation, the pair every other block is built from."""

from collections import OrderedDict

from torch import nn


class ConvBN(nn.Sequential):
    """A 2-D convolution without bias, then batch normalisation (eps 1e-5).

    Padding is half the kernel, so stride 1 keeps the size and stride s gives ceil(size / s).
    Maps [B, in_channels, H, W] to [B, out_channels, ceil(H / stride), ceil(W / stride)]
    in any floating dtype. `conv, bn = block` unpacks the two layers.

    Args:
        in_channels, out_channels: widths.
        kernel_size: side of the square kernel, odd.
        stride: stride in both directions.
        groups: `in_channels` makes the convolution depthwise.
        conv_name: name of the convolution among the parameters; the released checkpoints
            say "c" in the backbone and "conv" in the head.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        conv_name: str = "c",
    ):
        conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=False,
        )
        # fan_in, because PyTorch's fan_out ignores groups.
        nn.init.kaiming_normal_(conv.weight, mode="fan_in", nonlinearity="relu")
        bn = nn.BatchNorm2d(out_channels)
        super().__init__(OrderedDict([(conv_name, conv), ("bn", bn)]))
