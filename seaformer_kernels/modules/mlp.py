"""The feed-forward half of a SEA layer."""

from torch import Tensor, nn
from torch.nn import functional as F

from seaformer_kernels.modules.conv_bn import ConvBN


class Mlp(nn.Module):
    """1x1 convolution and batch norm, depthwise 3x3 with bias, ReLU6, 1x1 and batch norm.

    The feed-forward network of a SeaFormer layer; the residual is added by the layer, not
    here. Maps [B, channels, H, W] to the same shape in any floating dtype.

    Args:
        channels: width of input and output.
        hidden_channels: width in between (channels times the MLP ratio).
    """

    def __init__(self, channels: int, hidden_channels: int):
        super().__init__()
        self.fc1 = ConvBN(channels, hidden_channels)
        self.dwconv = nn.Conv2d(
            hidden_channels, hidden_channels, 3, padding=1, groups=hidden_channels
        )
        nn.init.kaiming_normal_(self.dwconv.weight, mode="fan_in", nonlinearity="relu")
        nn.init.zeros_(self.dwconv.bias)  # type: ignore[arg-type]  # it has one
        self.fc2 = ConvBN(hidden_channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.relu6(self.dwconv(self.fc1(x))))
