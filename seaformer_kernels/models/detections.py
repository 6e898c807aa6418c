"""What a detector finds in an image."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Detections:
    """The objects that a detector found in one image, the surest first.

    Attributes:
        boxes: [N, 4], float32: x1, y1, x2, y2 in pixels of the image.
        scores: [N], float32, from 0 to 1.
        classes: [N], int64.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor

    def __len__(self) -> int:
        return len(self.scores)
