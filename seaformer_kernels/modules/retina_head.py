"""Detection heads: classes and boxes of the anchors at each cell of a feature pyramid."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from seaformer_kernels.graph import Graph, Step
from seaformer_kernels.modules.anchors import ANCHORS_PER_CELL

_PRIOR = 0.01  # probability of an object that a new head tells at each anchor
_STD = 0.01  # of a new head's weights

Maps = tuple[list[Tensor], list[Tensor]]


class RetinaHead(nn.Module):
    """The head of RetinaNet (Lin et al., ICCV 2017).

    Two towers of 3x3 convolutions and ReLU, one for classes and one for boxes, each with a 3x3
    convolution behind it; all serve every level. Takes levels [B, channels, H_i, W_i], finest
    first, and returns for each of them class logits [B, 9 * num_classes, H_i, W_i], channel
    a * num_classes + c for class c at anchor a, and box deltas [B, 36, H_i, W_i], channel
    a * 4 + (dx, dy, dw, dh), of the same floating dtype.

    Args:
        channels: width of the levels and towers.
        num_classes: number of classes.
        levels: how many levels there are.
        depth: convolutions of each tower.

    Attributes:
        graph: the steps from the levels to class logits of each, then box deltas of each.
    """

    def __init__(self, channels: int, num_classes: int, levels: int = 5, depth: int = 4):
        super().__init__()
        self.class_tower = nn.ModuleList(_conv_relu(channels) for _ in range(depth))
        self.box_tower = nn.ModuleList(_conv_relu(channels) for _ in range(depth))
        self.class_out = nn.Conv2d(channels, ANCHORS_PER_CELL * num_classes, 3, padding=1)
        self.box_out = nn.Conv2d(channels, ANCHORS_PER_CELL * 4, 3, padding=1)
        for layer in (*self.class_tower, *self.box_tower):
            nn.init.normal_(layer.conv.weight, std=_STD)
            nn.init.zeros_(layer.conv.bias)
        _init_outputs(self.class_out, self.box_out)
        layers = [(str(layer),) for layer in range(depth)]
        self.graph = shared_towers([layers] * levels)

    def forward(self, levels: Sequence[Tensor]) -> Maps:
        return classes_and_boxes(self.graph.run(self, *levels))


class LightHead(nn.Module):
    """A head of depthwise separable convolutions, for small processors.

    Our own variant of `RetinaHead`, which it is called like. A layer of a tower is a depthwise 3x3
    convolution, batch norm, ReLU, a 1x1 convolution, batch norm and ReLU; outputs are 1x1
    convolutions. Convolutions serve every level, and batch norms one level each, as the
    statistics of levels differ.

    Args:
        channels, num_classes, levels, depth: as of `RetinaHead`.

    Attributes:
        graph: as of `RetinaHead`.
    """

    def __init__(self, channels: int, num_classes: int, levels: int = 5, depth: int = 3):
        super().__init__()
        self.class_tower = nn.ModuleList(SeparableLayer(channels, levels) for _ in range(depth))
        self.box_tower = nn.ModuleList(SeparableLayer(channels, levels) for _ in range(depth))
        self.class_out = nn.Conv2d(channels, ANCHORS_PER_CELL * num_classes, 1)
        self.box_out = nn.Conv2d(channels, ANCHORS_PER_CELL * 4, 1)
        _init_outputs(self.class_out, self.box_out)
        parts = ("depthwise", "depthwise_norm.{}", "pointwise", "pointwise_norm.{}")
        self.graph = shared_towers(
            [
                [tuple(f"{layer}.{part.format(level)}" for part in parts) for layer in range(depth)]
                for level in range(levels)
            ]
        )

    def forward(self, levels: Sequence[Tensor]) -> Maps:
        return classes_and_boxes(self.graph.run(self, *levels))


class SeparableLayer(nn.Module):
    """The parts of one layer of a `LightHead`, whose graph says how they follow one another.

    Args:
        channels: width of input and output.
        levels: how many levels have batch norms of their own.
    """

    def __init__(self, channels: int, levels: int):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.depthwise_norm = nn.ModuleList(_norm_relu(channels) for _ in range(levels))
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.pointwise_norm = nn.ModuleList(_norm_relu(channels) for _ in range(levels))
        for conv in self.depthwise, self.pointwise:
            nn.init.kaiming_normal_(conv.weight, mode="fan_in", nonlinearity="relu")


HEADS: dict[str, tuple[type[RetinaHead] | type[LightHead], int]] = {
    "retina": (RetinaHead, 256),
    "light": (LightHead, 96),
}
"""Heads by name, each with the width of its pyramid."""


def _conv_relu(channels: int) -> nn.Sequential:
    conv = nn.Conv2d(channels, channels, 3, padding=1)
    return nn.Sequential(OrderedDict(conv=conv, relu=nn.ReLU()))


def _norm_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(bn=nn.BatchNorm2d(channels), relu=nn.ReLU()))


def _init_outputs(class_out: nn.Conv2d, box_out: nn.Conv2d) -> None:
    for conv in class_out, box_out:
        nn.init.normal_(conv.weight, std=_STD)
    nn.init.constant_(class_out.bias, -math.log((1 - _PRIOR) / _PRIOR))
    nn.init.zeros_(box_out.bias)


def shared_towers(layers: Sequence[Sequence[Sequence[str]]]) -> Graph:
    """For each level, the paths of each layer in both towers, then the outputs.

    Args:
        layers: of each level, of each layer, the paths that it calls in a tower.
    """
    steps: list[Step] = []
    outputs = []
    for branch in "class", "box":
        for level, its_layers in enumerate(layers):
            last = level
            paths = [f"{branch}_tower.{path}" for layer in its_layers for path in layer]
            for path in (*paths, f"{branch}_out"):
                steps.append(Step(path, (last,)))
                last = len(layers) + len(steps) - 1
            outputs.append(last)
    return Graph(tuple(steps), tuple(outputs), len(layers))


def classes_and_boxes(maps: list[Tensor]) -> Maps:
    """What a head returns, of the outputs of its graph."""
    return maps[: len(maps) // 2], maps[len(maps) // 2 :]
