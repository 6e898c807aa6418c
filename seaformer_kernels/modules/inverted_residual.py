"""The inverted residual of the backbone's convolutional stages."""

from torch import Tensor, nn

from seaformer_kernels.modules.conv_bn import ConvBN


class InvertedResidual(nn.Module):
    """1x1 expansion, ReLU, depthwise convolution, ReLU, 1x1 projection; each with batch norm.

    The MobileNetV2 block of SeaFormer's shared stem and context branch. The expansion is left
    out when `expansion` is 1, and the input is added to the output when the stride is 1 and
    both widths agree. Maps [B, in_channels, H, W] to
    [B, out_channels, ceil(H / stride), ceil(W / stride)] in any floating dtype.

    Args:
        in_channels, out_channels: widths of input and output.
        kernel_size: side of the depthwise kernel, odd (3 and 5 in SeaFormer).
        expansion: width of the depthwise convolution divided by `in_channels`.
        stride: stride of the depthwise convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        expansion: int = 4,
        stride: int = 1,
    ):
        super().__init__()
        hidden = in_channels * expansion
        self.residual = stride == 1 and in_channels == out_channels
        expand = [] if expansion == 1 else [ConvBN(in_channels, hidden), nn.ReLU()]
        self.conv = nn.Sequential(
            *expand,
            ConvBN(hidden, hidden, kernel_size, stride=stride, groups=hidden),
            nn.ReLU(),
            ConvBN(hidden, out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return x + y if self.residual else y
