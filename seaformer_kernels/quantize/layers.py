"""From a convolution in real numbers to one of int8, within the limits of exact arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seaformer_kernels.ops import Int8Layer
from seaformer_kernels.ops._int8 import (
    LEAST,
    MOST,
    MOST_MULTIPLIER,
    MOST_RATIO,
    RATIO_ONE,
    RESULT_LIMIT,
    SUM_LIMIT,
    UNIT,
    sum_bounds,
)

_SLACK = 1 + 1e-6
_COARSER = 1.1


@dataclass(frozen=True)
class Grid:
    """The numbers that a map can hold: scale * (q - zero)."""

    scale: float
    zero: int

    @property
    def least(self) -> float:
        return self.scale * (LEAST - self.zero)

    @property
    def most(self) -> float:
        return self.scale * (MOST - self.zero)


PIXELS = Grid(1.0, LEAST)


def scale_of(most: float, activation: str) -> float:
    """The scale of a map of numbers up to this, in magnitude where there is no activation."""
    if activation == "relu6":
        most = min(most, 6.0)
    number = most / (MOST if activation == "none" else MOST - LEAST)
    return float(torch.tensor(number, dtype=torch.float32))


def reach(weight: Tensor, bias: Tensor, grid: Grid) -> Tensor:
    """The most in magnitude that each output can be, whatever the inputs on their grid."""
    weight = weight.detach().double().flatten(1)
    bias = bias.detach().double()
    positive, negative = weight.clamp(min=0).sum(1), weight.clamp(max=0).sum(1)
    high = bias + grid.most * positive + grid.least * negative
    low = bias + grid.least * positive + grid.most * negative
    return torch.maximum(high.abs(), low.abs())


def least_scale(weight: Tensor, bias: Tensor, grid: Grid) -> float:
    """The least scale that the output of a convolution can have."""
    by_multiplier = weight.detach().abs().max().double() * grid.scale / (MOST * MOST_MULTIPLIER)
    by_result = reach(weight, bias, grid).max() / (RESULT_LIMIT - 2 * (MOST - LEAST))
    return float(torch.maximum(by_multiplier, by_result)) * _SLACK


def ratio_of(scale_in: float, scale_out: float) -> int:
    """That of a residual."""
    return round(scale_in / scale_out * RATIO_ONE)


def least_scale_of_residual(scale_in: float) -> float:
    """The least scale that the output of a block with a residual can have."""
    return scale_in * RATIO_ONE / MOST_RATIO * _SLACK


def quantize_layer(
    weight: Tensor, bias: Tensor, grid: Grid, scale_out: float, mean: Tensor | None = None
) -> Int8Layer:
    """The int8 form of a convolution.

    Args:
        weight: [outputs, inputs, ...], of a depthwise one [channels, 1, ...].
        bias: [outputs].
        grid: of the input.
        scale_out: of the output, at least `least_scale`.
        mean: [inputs] of the input, of a depthwise one [channels]; biases then make up for what
            the rounding of weights does to it.
    """
    # Weight scales are those of whole multipliers, so that these are not rounded themselves.
    units = (_least_step(weight, bias, grid) / scale_out / UNIT / _SLACK).ceil().clamp(min=1)
    while True:
        multiplier = units * UNIT
        layer, beyond = _rounded(weight, bias, grid, multiplier * scale_out, multiplier, mean)
        if not beyond.any():
            return layer
        units = torch.where(beyond, (units * _COARSER).ceil(), units)


def quantize_to_float(
    weight: Tensor, bias: Tensor, grid: Grid, unit: float, mean: Tensor | None = None
) -> Int8Layer:
    """The same of a convolution whose outputs are floats, in these units."""
    step = _least_step(weight, bias, grid) * _SLACK
    step = step.clamp(min=float(grid.scale) * 1e-12)  # where all weights of an output are zero
    while True:
        layer, beyond = _rounded(weight, bias, grid, step, step / unit, mean)
        if not beyond.any():
            return layer
        step = torch.where(beyond, step * _COARSER, step)


def _least_step(weight: Tensor, bias: Tensor, grid: Grid) -> Tensor:
    """The least that one of an output's sum can stand for."""
    magnitude = weight.detach().double().abs().flatten(1).amax(1)
    return torch.maximum(magnitude * grid.scale / MOST, reach(weight, bias, grid) / (SUM_LIMIT - 2))


def _rounded(
    weight: Tensor, bias: Tensor, grid: Grid, step: Tensor, multiplier: Tensor, mean: Tensor | None
) -> tuple[Int8Layer, Tensor]:
    """A layer in whole numbers, and which of its sums may be beyond the limit."""
    weight, bias = weight.detach().double(), bias.detach().double()
    along = (step / grid.scale).view(-1, *[1] * (weight.dim() - 1))
    whole = (weight / along).round().clamp(-MOST, MOST)
    lost = torch.zeros_like(bias)
    if mean is not None:
        change = (whole * along - weight).flatten(2).sum(2)  # of each input
        lost = change[:, 0] * mean if _is_depthwise(weight, mean) else change @ mean.double()
    layer = Int8Layer(
        whole.to(torch.int8),
        ((bias - lost) / step).round().clamp(-SUM_LIMIT, SUM_LIMIT).int(),
        multiplier.float(),
    )
    low, high = sum_bounds(layer, grid.zero)
    return layer, torch.maximum(-low, high) >= SUM_LIMIT


def real(layer: Int8Layer, grid: Grid, scale_out: float) -> tuple[Tensor, Tensor]:
    """Weight and bias that an int8 layer stands for."""
    step = layer.multiplier.double() * scale_out
    along = (step / grid.scale).view(-1, *[1] * (layer.weight.dim() - 1))
    return (layer.weight * along).float(), (layer.bias * step).float()


def _is_depthwise(weight: Tensor, mean: Tensor) -> bool:
    return weight.shape[1] == 1 and len(mean) == len(weight)
