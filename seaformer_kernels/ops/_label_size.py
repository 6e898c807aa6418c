"""The size of label maps, as ops take it."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

# What torch.nn.functional.interpolate takes; a single side makes a square.
Size = int | torch.SymInt | Tensor | Sequence[int | torch.SymInt | Tensor]


def read_size(op: str, size: Size) -> list[Any]:
    """The sides of a size: integers, symbolic ones, and 0-d tensors only while torch.jit traces,
    whose shapes they are.

    Raises:
        TypeError: a side is no integer.
    """
    sides = size if isinstance(size, Sequence) and not isinstance(size, str) else (size, size)
    return [_side(op, side, size) for side in sides]


def is_traced(sides: Sequence[object]) -> bool:
    """Whether an op cannot take these sides, as it would make them constants of a trace."""
    return any(isinstance(side, Tensor) for side in sides)


def check_size(op: str, size: Sequence[int]) -> None:
    """Raises ValueError unless size is a height and a width, both positive."""
    if len(size) != 2 or not (size[0] > 0 and size[1] > 0):
        raise ValueError(
            f"{op}: expected size to be (height, width), both positive, got {list(size)}"
        )


def _side(op: str, side: Any, size: object) -> int | torch.SymInt | Tensor:
    if isinstance(side, int | torch.SymInt):
        return side
    if isinstance(side, Tensor) and (side.dim() or side.is_floating_point()):
        raise TypeError(f"{op}: expected size to be two integers, got {size!r}")
    if isinstance(side, Tensor) and torch.jit.is_tracing():
        return side
    try:
        return operator.index(side)
    except TypeError:
        raise TypeError(f"{op}: expected size to be two integers, got {size!r}") from None
