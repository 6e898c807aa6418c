"""Which blocks are kept out of int8, so that a model loses no more than it may."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from seaformer_kernels.optimize import OptimizedModel
from seaformer_kernels.quantize.convert import ToFused
from seaformer_kernels.quantize.errors import Noise
from seaformer_kernels.quantize.report import QuantizationReport

Made = tuple[nn.Module, ToFused]


def search(
    made: Callable[[dict[str, str]], Made],
    evaluate: Callable[[nn.Module], float],
    max_drop: float | None,
    noise: Noise,
    stays: dict[str, str],
    evaluated: list[tuple[int | None, float]],
    rest: torch.dtype,
) -> dict[str, str]:
    """Which blocks are to stay float, with the reason."""
    worst = [path for path in noise.worst_first() if path not in stays]
    reason = "would take too much from what evaluate says"

    def with_kept(count: int) -> dict[str, str]:
        return stays | dict.fromkeys(worst[:count], reason)

    def fits(count: int) -> bool:
        kept_out = with_kept(count)
        module, converter = made(kept_out)
        model = OptimizedModel(module, QuantizationReport(tuple(converter.entries)), rest)
        value = float(evaluate(model))
        evaluated.append((len(kept_out), value))
        return max_drop is None or evaluated[0][1] - value <= max_drop or math.isnan(value)

    if fits(0):
        return stays
    # The drop falls, more or less, with every block that is kept.
    low, high = 0, len(worst)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return with_kept(high)
