"""The tables of the mobile networks' papers: one row a block, the same for every layout."""

from __future__ import annotations

import math
from typing import NamedTuple


class Row(NamedTuple):
    """One inverted residual.

    Attributes:
        kernel: side of the depthwise kernel.
        expanded: width of the depthwise convolution.
        out: width of the output.
        squeezed: width inside squeeze-and-excite, 0 without.
        act: name of the activation.
        stride: of the depthwise convolution.
    """

    kernel: int
    expanded: int
    out: int
    squeezed: int
    act: str
    stride: int


class Mobile(NamedTuple):
    """A network of inverted residuals.

    Attributes:
        stem: width of the first convolution, whose activation is `act`.
        stages: rows, grouped by stage.
        head: width of the last 1x1 convolution.
        act: activation of stem and head.
        gate: activation of squeeze-and-excite's last layer.
        eps: of the batch norms.
    """

    stem: int
    stages: list[list[Row]]
    head: int
    act: str
    gate: str = "sigmoid"
    eps: float = 1e-5


def divisible(width: float, by: int = 8) -> int:
    """The multiple of `by` nearest to a width, never below 90% of it."""
    rounded = max(by, int(width + by / 2) // by * by)
    return rounded + by if rounded < 0.9 * width else rounded


def mobilenet_v2(width: float = 1.0) -> Mobile:
    """MobileNetV2 (CVPR 2018), table 2."""
    table = [
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
        (6, 320, 1, 1),
    ]  # fmt: skip
    stages = [(3, t, divisible(c * width), n, s) for t, c, n, s in table]
    stem = divisible(32 * width)
    return Mobile(stem, _repeated(stem, stages, "relu6"), max(1280, int(1280 * width)), "relu6")


def mobilenet_v3(large: bool) -> Mobile:
    """MobileNetV3 (ICCV 2019), tables 1 and 2."""
    relu, swish = "relu", "hardswish"
    if large:
        table = [
            [(3, 16, 16, 0, relu, 1)],
            [(3, 64, 24, 0, relu, 2), (3, 72, 24, 0, relu, 1)],
            [(5, 72, 40, 1, relu, 2), (5, 120, 40, 1, relu, 1), (5, 120, 40, 1, relu, 1)],
            [(3, 240, 80, 0, swish, 2), (3, 200, 80, 0, swish, 1), (3, 184, 80, 0, swish, 1),
             (3, 184, 80, 0, swish, 1)],
            [(3, 480, 112, 1, swish, 1), (3, 672, 112, 1, swish, 1)],
            [(5, 672, 160, 1, swish, 2), (5, 960, 160, 1, swish, 1), (5, 960, 160, 1, swish, 1)],
        ]  # fmt: skip
    else:
        table = [
            [(3, 16, 16, 1, relu, 2)],
            [(3, 72, 24, 0, relu, 2), (3, 88, 24, 0, relu, 1)],
            [(5, 96, 40, 1, swish, 2), (5, 240, 40, 1, swish, 1), (5, 240, 40, 1, swish, 1)],
            [(5, 120, 48, 1, swish, 1), (5, 144, 48, 1, swish, 1)],
            [(5, 288, 96, 1, swish, 2), (5, 576, 96, 1, swish, 1), (5, 576, 96, 1, swish, 1)],
        ]
    stages = [
        [Row(k, exp, c, divisible(exp / 4) if se else 0, act, s) for k, exp, c, se, act, s in rows]
        for rows in table
    ]
    return Mobile(16, stages, 960 if large else 576, swish, gate="hardsigmoid", eps=1e-3)


def mnasnet() -> Mobile:
    """MnasNet-B1 (CVPR 2019), without squeeze-and-excite."""
    table = [
        (3, 1, 16, 1, 1), (3, 3, 24, 3, 2), (5, 3, 40, 3, 2), (5, 6, 80, 3, 2), (3, 6, 96, 2, 1),
        (5, 6, 192, 4, 2), (3, 6, 320, 1, 1),
    ]  # fmt: skip
    return Mobile(32, _repeated(32, table, "relu"), 1280, "relu")


def efficientnet(depth: float = 1.0, lite: bool = False) -> Mobile:
    """EfficientNet (ICML 2019), table 1, of width 1; lite has ReLU6 and no squeeze-and-excite."""
    table = [
        (3, 1, 16, 1, 1), (3, 6, 24, 2, 2), (5, 6, 40, 2, 2), (3, 6, 80, 3, 2), (5, 6, 112, 3, 1),
        (5, 6, 192, 4, 2), (3, 6, 320, 1, 1),
    ]  # fmt: skip
    table = [(k, t, c, math.ceil(n * depth), s) for k, t, c, n, s in table]
    act = "relu6" if lite else "silu"
    return Mobile(32, _repeated(32, table, act, squeeze=not lite), 1280, act, eps=1e-3)


def _repeated(
    channels: int, table: list[tuple[int, int, int, int, int]], act: str, squeeze: bool = False
) -> list[list[Row]]:
    """Rows of stages (kernel, expansion, channels, repeats, stride of the first)."""
    stages = []
    for kernel, expansion, out, repeats, stride in table:
        stages.append([])
        for i in range(repeats):
            squeezed = channels // 4 if squeeze else 0
            stride_here = 1 if i else stride
            stages[-1].append(Row(kernel, channels * expansion, out, squeezed, act, stride_here))
            channels = out
    return stages
