"""The weights of Winograd's convolution F(2x2, 3x3), as csrc/blocks/winograd.cpp takes them.

Lavin and Gray, CVPR 2016: four outputs of a 3x3 window take sixteen products instead of 36.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seaformer_kernels.ops._packed import Weights
from seaformer_kernels.ops._window import Window

_LEAST_INPUTS, _LEAST_OUTPUTS = 16, 16  # channels from which on it is worth the transforms
_BIASED = 5  # of the sixteen products, row by row: the one that counts once in each output
_TRANSFORM = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))
_INVERSE = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, -1.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def is_served(window: Window, in_channels: int, out_channels: int, dtype: torch.dtype) -> bool:
    """Whether a convolution is packed for it."""
    return (
        (window.size, window.stride, window.dilation) == ((3, 3), 1, 1)
        and dtype == torch.float32
        and in_channels >= _LEAST_INPUTS
        and out_channels >= _LEAST_OUTPUTS
    )


def transformed(weight: Tensor, bias: Tensor) -> list[Weights]:
    """Sixteen matrices [out, in] with biases, of a weight [out, in, 3, 3]; all float32."""
    matrices = _both_sides(_TRANSFORM, weight).flatten(2).float()
    none = torch.zeros_like(bias)
    return [(matrix, bias if i == _BIASED else none) for i, matrix in enumerate(matrices.unbind(2))]


def restored(sections: Sequence[Weights]) -> Weights:
    """The weight and bias that `transformed` was given, but for rounding."""
    matrices = torch.stack([matrix for matrix, _ in sections], 2).unflatten(2, (4, 4))
    return _both_sides(_INVERSE, matrices).float(), sections[_BIASED][1]


def _both_sides(matrix: Sequence[Sequence[float]], x: Tensor) -> Tensor:
    m = torch.tensor(matrix, dtype=torch.float64)
    return m @ x.double() @ m.T
