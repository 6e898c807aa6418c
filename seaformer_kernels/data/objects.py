"""The objects in an image, as annotations tell of them."""

from __future__ import annotations

from typing import NamedTuple

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
