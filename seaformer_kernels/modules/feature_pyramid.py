"""The feature pyramid between the backbone and a detection head."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from seaformer_kernels.graph import Graph, Step


class TopDownSum(nn.Module):
    """A coarse map, resized to the size of a fine one by nearest neighbours, plus the fine one.

    Maps coarse [B, C, h, w] and fine [B, C, H, W] to [B, C, H, W] in any floating dtype.
    """

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        return fine + F.interpolate(coarse, size=fine.shape[-2:], mode="nearest")


class FeaturePyramid(nn.Module):
    """Feature pyramid network (Lin et al., CVPR 2017), with one level more than it is given maps.

    A 1x1 convolution brings each map to the pyramid's width; from the coarsest on, each sum is
    added to the next finer map; a 3x3 convolution of each sum gives a level. The last level is a
    3x3 convolution with stride 2 of the ReLU of the one before it (RetinaNet, Lin et al., ICCV
    2017). All convolutions have a bias. Takes one map [B, in_channels[i], H_i, W_i] for each width,
    finest first, and returns the levels [B, channels, H_i, W_i], then one of [B, channels,
    ceil(H / 2), ceil(W / 2)] of the coarsest size, of the same floating dtype.

    Args:
        in_channels: widths of the maps, finest first; at least one.
        channels: width of the pyramid.

    Attributes:
        graph: the steps from the maps to the levels.
    """

    def __init__(self, in_channels: Sequence[int], channels: int):
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in in_channels)
        self.top_down = TopDownSum()
        self.output = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in in_channels
        )
        self.relu = nn.ReLU()
        self.extra = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        for conv in (*self.lateral, *self.output, self.extra):
            nn.init.xavier_uniform_(conv.weight)
            nn.init.zeros_(conv.bias)
        self.graph = _pyramid(len(self.lateral))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        return self.graph.run(self, *features)


def _pyramid(count: int) -> Graph:
    """Laterals, sums from the coarsest on, levels, and the level beyond them."""
    steps = [Step(f"lateral.{i}", (i,)) for i in range(count)]
    laterals = [count + i for i in range(count)]
    sums = laterals[-1:]  # coarsest first
    for lateral in reversed(laterals[:-1]):
        steps.append(Step("top_down", (sums[-1], lateral)))
        sums.append(count + len(steps) - 1)
    levels = []
    for i, sum_ in enumerate(reversed(sums)):
        steps.append(Step(f"output.{i}", (sum_,)))
        levels.append(count + len(steps) - 1)
    for path in "relu", "extra":
        steps.append(Step(path, (count + len(steps) - 1,)))
    return Graph(tuple(steps), (*levels, count + len(steps) - 1), count)
