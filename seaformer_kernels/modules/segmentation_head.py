"""The light segmentation head."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from seaformer_kernels.graph import Graph, Step
from seaformer_kernels.modules.conv_bn import ConvBN
from seaformer_kernels.modules.fusion_gate import FusionGate


class SegmentationHead(nn.Module):
    """Light segmentation head of SeaFormer (ICLR 2023).

    Gates the finest feature map by each coarser one in turn, then a per-channel scale, batch
    norm, ReLU, dropout (in training only) and a 1x1 classifier. Takes one map
    [B, in_channels[i], H_i, W_i] for each width in `in_channels`, finest first, and returns
    logits [B, num_classes, H_0, W_0] of the same floating dtype.

    Args:
        in_channels: widths of the feature maps, finest first.
        fusion_channels: width after each fusion, one fewer than there are feature maps.
        num_classes: number of classes.
        dropout: probability of dropping a whole channel before the classifier.

    Attributes:
        graph: the steps from the feature maps to the map of the last fusion.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        fusion_channels: Sequence[int],
        num_classes: int,
        dropout: float = 0.1,
    ):
        super().__init__()
        last = fusion_channels[-1]
        self.linear_fuse = ConvBN(last, last, groups=last, conv_name="conv")
        local_channels, *global_channels = in_channels
        for i, (coarse, fused) in enumerate(zip(global_channels, fusion_channels, strict=True), 1):
            self.add_module(f"fuse{i}", FusionGate(local_channels, coarse, fused))
            local_channels = fused
        self.graph = fusions(len(fusion_channels))
        self.dropout = nn.Dropout2d(dropout)
        self.conv_seg = nn.Conv2d(last, num_classes, 1)
        nn.init.normal_(self.conv_seg.weight, std=0.01)
        nn.init.zeros_(self.conv_seg.bias)  # type: ignore[arg-type]  # it has one

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        (x,) = self.graph.run(self, *features)
        return self.conv_seg(self.dropout(F.relu(self.linear_fuse(x))))


def fusions(count: int) -> Graph:
    """That many fusions, fuse1 of the two finest maps, each next one of its map and the next."""
    steps, finest = [], 0
    for coarse in range(1, count + 1):
        steps.append(Step(f"fuse{coarse}", (finest, coarse)))
        finest = count + coarse  # the maps given are `count` and the finest
    return Graph(tuple(steps), (finest,), count + 1)
