"""What a validation looks like: photographs, their masks, and what the network says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image
from torch import Tensor

from seaformer_kernels.data import Dataset

_HEIGHT = 240


def sheet(rows: Sequence[tuple[Tensor, Tensor, Tensor]], facts: Dataset) -> Image.Image:
    """A row for each (image uint8 [3, H, W], mask [H, W], labels [H, W]), beside each other.

    Ignored pixels of a mask are black.
    """
    lines = [_line(image, mask, labels, facts) for image, mask, labels in rows]
    width = max(line.width for line in lines)
    found = Image.new("RGB", (width, sum(line.height for line in lines)))
    top = 0
    for line in lines:
        found.paste(line, (0, top))
        top += line.height
    return found


def _line(image: Tensor, mask: Tensor, labels: Tensor, facts: Dataset) -> Image.Image:
    photo = Image.fromarray(image.permute(1, 2, 0).numpy())
    colors = np.zeros((256, 3), np.uint8)
    colors[: len(facts.colors)] = facts.colors
    colors[facts.ignore_label] = 0
    overlay = Image.fromarray(colors[labels.numpy()])
    cells = [
        photo,
        Image.fromarray(colors[mask.numpy()]),
        Image.blend(photo, overlay, 0.6),
    ]
    width = max(1, round(photo.width * _HEIGHT / photo.height))
    line = Image.new("RGB", (3 * width, _HEIGHT))
    for number, cell in enumerate(cells):
        line.paste(cell.resize((width, _HEIGHT)), (number * width, 0))
    return line
