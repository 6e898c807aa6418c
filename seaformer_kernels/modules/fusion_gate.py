"""The fusion block of the light segmentation head."""

from torch import Tensor, nn
from torch.nn import functional as F

from seaformer_kernels.modules.conv_bn import ConvBN


class FusionGate(nn.Module):
    """Fine local features, gated by coarse global ones.

    The fusion block of SeaFormer's light segmentation head: a 1x1 convolution and batch norm
    on either side, then local * resize(h_sigmoid(global)), the resize bilinear with half-pixel
    centres. Maps local [B, local_channels, H, W] and global [B, global_channels, h, w] to
    [B, out_channels, H, W] in any floating dtype.

    Args:
        local_channels, global_channels: widths of the two inputs.
        out_channels: width of the output.
    """

    def __init__(self, local_channels: int, global_channels: int, out_channels: int):
        super().__init__()
        self.local_embedding = ConvBN(local_channels, out_channels, conv_name="conv")
        self.global_act = ConvBN(global_channels, out_channels, conv_name="conv")

    def forward(self, local_features: Tensor, global_features: Tensor) -> Tensor:
        gate = F.interpolate(
            F.hardsigmoid(self.global_act(global_features)),
            size=local_features.shape[-2:],
            mode="bilinear",
            align_corners=False,
        )
        return self.local_embedding(local_features) * gate
