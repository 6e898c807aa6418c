"""The convolution that opens the network."""

from torch import nn

from seaformer_kernels.modules.conv_bn import ConvBN


class Stem(nn.Sequential):
    """A dense 3x3 convolution with stride 2 and padding 1, batch norm, ReLU.

    The first layer of SeaFormer's shared stem. Maps images [B, 3, H, W] to
    [B, out_channels, ceil(H / 2), ceil(W / 2)] in any floating dtype.

    Args:
        out_channels: width of the output.
    """

    def __init__(self, out_channels: int):
        super().__init__(ConvBN(3, out_channels, 3, stride=2), nn.ReLU())
