"""Weights that let rare classes count for more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seaformer_kernels.training.state import write_whole


def count_pixels(data: Any, classes: int) -> Tensor:
    """How many pixels of a segmentation data set have each label, int64 [classes]."""
    counts = torch.zeros(256, dtype=torch.int64)
    for index in range(len(data)):
        counts += torch.bincount(data[index][1].flatten(), minlength=256)
    return counts[:classes]


def balanced(counts: Tensor) -> Tensor:
    """1 / sqrt(frequency) of each class, scaled to a mean of 1; 0 for one that does not occur."""
    weights = torch.where(counts > 0, counts.double().rsqrt(), 0)
    return (weights * ((counts > 0).sum() / weights.sum())).float()


def counted_once(data: Any, classes: int, file: Path) -> Tensor:
    """`balanced` of the pixels of a data set, whose counts are kept in a file."""
    if file.exists():
        counts = torch.tensor(json.loads(file.read_text())["pixels"], dtype=torch.int64)
    else:
        counts = count_pixels(data, classes)
        text = json.dumps({"pixels": counts.tolist()}) + "\n"
        write_whole(file, lambda f: f.write(text.encode()))
    return balanced(counts)
