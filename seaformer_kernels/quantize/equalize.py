"""Channels of like range: what one layer multiplies, the next one divides.

Weights have a scale for each output, maps only one. So a channel of the map between two layers may
be made as large as the largest one, at no cost where the layer behind is a depthwise convolution;
where it is a pointwise one, whose weights for that channel shrink, half of the way. Exact through
ReLU, and without an activation; through ReLU6 it is not, and not done.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seaformer_kernels.ops._int8 import MOST
from seaformer_kernels.quantize.layers import Grid, reach
from seaformer_kernels.quantize.simulate import Convolution, Map, SimulatedInvertedResidual

_MOST = 64.0  # times what was observed, that a channel can be


@torch.no_grad()
def equalize(block: SimulatedInvertedResidual) -> None:
    """Changes weights of a block whose maps were observed; what it computes stays."""
    if block.expand is not None and block.expanded.activation != "relu6":
        factors = _to_the_largest(block.expand, block.input, block.expanded)
        _move(block.expand, block.depthwise, factors)
        block.expanded.peaks *= factors.float()
    if block.hidden.activation != "relu6":
        factors = _halfway(block.depthwise, block.project, block.hidden)
        _move(block.depthwise, block.project, factors)


def _to_the_largest(conv: Convolution, of: Map, out: Map) -> Tensor:
    """Factors that make channels as large as the largest one."""
    peaks = out.peaks.double()
    # Beyond what was observed there must be room for what inputs could make of it.
    room = reach(conv.weight, conv.bias, _observed(of)) / _MOST
    return _safe(peaks.max() / torch.maximum(peaks, room))


def _halfway(conv: Convolution, behind: Convolution, out: Map) -> Tensor:
    """Factors between those for the map and those for the weights behind."""
    peaks = out.peaks.double()
    weight = behind.weight.double().flatten(1).abs()
    columns = (weight / weight.amax(1, keepdim=True).clamp(min=1e-30)).amax(0)
    peaks = peaks.clamp(min=float(peaks.max()) / _MOST)
    columns = columns.clamp(min=1 / _MOST)
    factors = (columns / peaks).sqrt()
    return _safe(factors / factors.min())


def _observed(of: Map) -> Grid:
    """The grid of a map by its peaks."""
    zero = of.grid.zero
    return Grid(float(of.peaks.max()) / (MOST - zero), zero)


def _safe(factors: Tensor) -> Tensor:
    return factors.nan_to_num(1.0, 1.0, 1.0).clamp(min=1 / _MOST, max=_MOST)


def _move(conv: Convolution, behind: Convolution, factors: Tensor) -> None:
    along = factors.view(-1, 1, 1, 1)
    conv.weight.copy_(conv.weight.double() * along)
    conv.bias.copy_(conv.bias.double() * factors)
    depthwise = behind.groups > 1 and behind.weight.shape[1] == 1
    inverse = along if depthwise else along.transpose(0, 1)
    behind.weight.copy_(behind.weight.double() / inverse)
