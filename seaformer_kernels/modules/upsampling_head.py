"""The segmentation head of a student that reads a smaller image than its teacher."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from seaformer_kernels.modules.inverted_residual import InvertedResidual
from seaformer_kernels.modules.segmentation_head import SegmentationHead


class Doubling(nn.Module):
    """A bilinear resize to twice the size, with half-pixel centres.

    Maps [B, C, H, W] to [B, C, 2 H, 2 W] in any floating dtype.
    """

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        return F.interpolate(x, size=(2 * height, 2 * width), mode="bilinear", align_corners=False)


class Upsampler(nn.Sequential):
    """Lifts a map to twice its size: inverted residual, bilinear resize, inverted residual.

    Our own design after the outline of SeaFormer++ (IJCV 2025), not checked against the authors'.
    Both blocks have a 3x3 kernel and no expansion; the map is half as wide where it is resized,
    since a pixel of the large map costs four times what one of the small map does. Maps
    [B, channels, H, W] to [B, channels, 2 H, 2 W] in any floating dtype.

    Args:
        channels: width of input and output.
    """

    def __init__(self, channels: int):
        width = max(channels // 2, 1)
        super().__init__(
            OrderedDict(
                narrow=InvertedResidual(channels, width, expansion=1),
                resize=Doubling(),
                widen=InvertedResidual(width, channels, expansion=1),
            )
        )


class UpsamplingHead(SegmentationHead):
    """A `SegmentationHead` that lifts the map of its last fusion to twice its size.

    Its arguments, and another part, the `Upsampler`, between the last fusion and the scale before
    the classifier. Logits are [B, num_classes, 2 H_0, 2 W_0].

    Attributes:
        graph: the steps from the feature maps to the lifted map.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        fusion_channels: Sequence[int],
        num_classes: int,
        dropout: float = 0.1,
    ):
        super().__init__(in_channels, fusion_channels, num_classes, dropout)
        self.upsampler = Upsampler(fusion_channels[-1])
        for name in self.upsampler._modules:
            self.graph = self.graph.then(f"upsampler.{name}")
