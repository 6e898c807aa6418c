"""The networks that are counted: our variants by name, other people's by their name in the zoo."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

from torch import nn

import seaformer_kernels as sk
from seaformer_kernels.bench import models
from seaformer_kernels.optimize.multiply_adds import count_multiply_adds

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "python"))

import zoo

SIDE = 512  # of the square images, unless told


def plain(name: str, output: str) -> nn.Module:
    """The plain network from an image to an output, `logits` or `labels`."""
    if name in sk.list_models():
        return models.plain_model(name, output)
    model = zoo.create(name).requires_grad_(False)
    return models.ToLabels(model).eval() if output == "labels" else model


@functools.cache
def multiply_adds(name: str, side: int = SIDE) -> int:
    """Those of the plain network's convolutions and matrix products, to logits."""
    if name in sk.list_models():
        return models.multiply_adds(name, side, side)[""]
    return count_multiply_adds(plain(name, "logits"), models.image(side, side)).total
