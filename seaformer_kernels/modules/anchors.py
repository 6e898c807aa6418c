"""Anchors: the boxes that a detection head starts from, and how its deltas change them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from seaformer_kernels.reference.detections import MAX_LOG_SCALE

RATIOS = (0.5, 1.0, 2.0)  # height / width
SCALES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
ANCHORS_PER_CELL = len(RATIOS) * len(SCALES)
BASE_SIZE = 4  # sides of a square anchor of scale 1, in strides


def anchor_sizes(strides: Sequence[int]) -> Tensor:
    """Widths and heights of the anchors of each level (RetinaNet, Lin et al., ICCV 2017).

    Anchor a = 3 * ratio + scale has the area (4 * stride * SCALES[scale])^2 and height / width
    RATIOS[ratio].

    Args:
        strides: pixels of the image a side of a cell, of each level.

    Returns:
        [levels, 9, 2], float32, in pixels: width, height.
    """
    sides = [
        [(scale / math.sqrt(ratio), scale * math.sqrt(ratio)) for scale in SCALES]
        for ratio in RATIOS
    ]
    # In double until the end, so that every machine has the same numbers.
    units = torch.tensor(sides, dtype=torch.float64).flatten(0, 1)
    steps = BASE_SIZE * torch.tensor(list(strides), dtype=torch.float64)
    return (steps[:, None, None] * units).float()


def anchor_boxes(
    strides: Sequence[int], map_sizes: Sequence[tuple[int, int]], device: torch.device | None = None
) -> list[Tensor]:
    """The anchors at all cells of each level; those of cell (x, y) are centred on it, x * stride.

    Args:
        strides: as of `anchor_sizes`.
        map_sizes: height and width of the map of each level.
        device: of the result.

    Returns:
        For each level [H * W * 9, 4], float32: x1, y1, x2, y2 in pixels, by rows, columns, anchors.

    Raises:
        ValueError: there are not as many sizes as strides.
    """
    if len(strides) != len(map_sizes):
        raise ValueError(f"Expected maps of {len(strides)} levels, got {len(map_sizes)}.")
    levels = []
    for stride, sizes, (height, width) in zip(
        strides, anchor_sizes(strides).to(device), map_sizes, strict=True
    ):
        y, x = (
            stride * torch.arange(n, dtype=torch.float32, device=device) for n in (height, width)
        )
        centres = torch.stack(torch.broadcast_tensors(x, y[:, None]), dim=-1)[:, :, None]
        corners = torch.cat((centres - sizes / 2, centres + sizes / 2), dim=-1)
        levels.append(corners.flatten(0, 2))
    return levels


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """The deltas that make boxes of anchors: the inverse of `decode_boxes`.

    Args:
        boxes, anchors: [..., 4], x1, y1, x2, y2; of positive width and height.

    Returns:
        [..., 4]: dx, dy, dw, dh.
    """
    (centre, size), (anchor_centre, anchor_size) = map(_centre_and_size, (boxes, anchors))
    return torch.cat(((centre - anchor_centre) / anchor_size, (size / anchor_size).log()), dim=-1)


def decode_boxes(deltas: Tensor, anchors: Tensor) -> Tensor:
    """The boxes that deltas make of anchors; it has gradients.

    Centres move by (dx, dy) times width and height, sizes are times exp(dw) and exp(dh), which are
    first cut at `reference.detections.MAX_LOG_SCALE`.

    Args:
        deltas: [..., 4]: dx, dy, dw, dh.
        anchors: [..., 4], x1, y1, x2, y2.

    Returns:
        [..., 4], x1, y1, x2, y2.
    """
    anchor_centre, anchor_size = _centre_and_size(anchors)
    centre = deltas[..., :2] * anchor_size + anchor_centre
    half = 0.5 * anchor_size * deltas[..., 2:].clamp(max=MAX_LOG_SCALE).exp()
    return torch.cat((centre - half, centre + half), dim=-1)


def _centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    low, high = boxes[..., :2], boxes[..., 2:]
    return (low + high) / 2, high - low
