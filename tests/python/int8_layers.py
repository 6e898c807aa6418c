"""Random convolutions of int8 maps, and what they stand for."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seaformer_kernels import ops
from seaformer_kernels.ops import _int8


def layer(*shape: int, seed: int = 0, bias: int = 1000) -> ops.Int8Layer:
    """Random weights; multipliers so that outputs fill the range."""
    g = torch.Generator().manual_seed(seed)
    weight = torch.randint(-127, 128, shape, generator=g, dtype=torch.int8)
    spread = 64 * 64 * math.sqrt(weight[0].numel())
    units = (torch.rand(shape[0], generator=g) + 0.5) * 40 / spread / _int8.UNIT
    biases = torch.randint(-bias, bias, shape[:1], generator=g, dtype=torch.int32)
    return ops.Int8Layer(weight, biases, units.round() * _int8.UNIT)


def float_layer(*shape: int, size: float, seed: int = 0, bias: int = 1000) -> ops.Int8Layer:
    """The same for outputs of float32, of about such a size."""
    quantized = layer(*shape, seed=seed, bias=bias)
    return quantized._replace(multiplier=quantized.multiplier * (size / 50))


def real(given: ops.Int8Layer, step_in: float, step_out: float) -> tuple[Tensor, Tensor]:
    """The float weight and bias of a layer, by what a step of its input and output stands for."""
    scale = given.multiplier * step_out
    weight = given.weight * (scale / step_in).view(-1, *[1] * (given.weight.dim() - 1))
    return weight, given.bias * scale
