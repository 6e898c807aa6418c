"""Weights that let rare classes count for more."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seaformer_kernels._files import write_whole
from seaformer_kernels.training.errors import TrainingError


def count_pixels(data: Any, classes: int) -> Tensor:
    """How many pixels of a segmentation data set have each label, int64 [classes]."""
    counts = torch.zeros(256, dtype=torch.int64)
    for index in range(len(data)):
        counts += torch.bincount(data.mask(index).flatten(), minlength=256)
    return counts[:classes]


def balanced(counts: Tensor) -> Tensor:
    """1 / sqrt(frequency) of each class, scaled to a mean of 1; 0 for one that does not occur."""
    weights = torch.where(counts > 0, counts.double().rsqrt(), 0)
    return (weights * ((counts > 0).sum() / weights.sum())).float()


def counted_once(data: Any, classes: int, file: Path) -> Tensor:
    """`balanced` of the pixels of a data set, whose counts are kept in a file.

    Raises:
        TrainingError: no pixel has a label.
    """
    names = "\n".join(sample.name for sample in data.samples)
    images = hashlib.sha256(f"{classes} {names}".encode()).hexdigest()
    try:
        kept = json.loads(file.read_text())
    except (OSError, ValueError):
        kept = {}
    if kept.get("images") == images:
        return balanced(torch.tensor(kept["pixels"]))
    counts = count_pixels(data, classes)
    if not counts.any():
        raise TrainingError("Expected masks with labels to weigh classes by, got none.")
    text = json.dumps({"images": images, "pixels": counts.tolist()}) + "\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole({file: lambda path: path.write_text(text)}, flush=True, alone=True)
    return balanced(counts)
