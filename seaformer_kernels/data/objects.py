"""The objects in an image, as annotations tell of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Objects(NamedTuple):
    """The objects in an image.

    Attributes:
        boxes: float32 [N, 4]: left, top, right and bottom in pixels of the image.
        classes: int64 [N].
        crowd: bool [N], whether a box is of many objects that were not told apart: it is not
            trained on, and what a model finds in it counts for nothing.
        areas: float32 [N], pixels of the objects, which may fill a part of their boxes.
        image: id of the image in its annotations.
    """

    boxes: Tensor
    classes: Tensor
    crowd: Tensor
    areas: Tensor
    image: int = 0


def pairwise_iou(one: Tensor, other: Tensor) -> Tensor:
    """IoU of each box of one set with each of another.

    Args:
        one, other: [N, 4] and [M, 4]: left, top, right, bottom.

    Returns:
        [N, M], 0 where neither box has an area.
    """
    low = torch.maximum(one[:, None, :2], other[:, :2])
    high = torch.minimum(one[:, None, 2:], other[:, 2:])
    both = (high - low).clamp(min=0).prod(2)
    areas, others = ((boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (one, other))
    return both / (areas[:, None] + others - both).clamp(min=1e-9)
