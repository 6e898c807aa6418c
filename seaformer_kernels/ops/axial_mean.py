"""Means of the rows and the columns of a map in one pass."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from seaformer_kernels.ops import _maps
from seaformer_kernels.ops._library import register_differentiable
from seaformer_kernels.reference import axial_mean as reference


def _fake(x: Tensor) -> tuple[Tensor, Tensor]:
    _maps.check_rank("axial_mean", "x", x)
    _maps.check_filled("axial_mean", "x", x)
    _maps.check_one_dtype("axial_mean", x)
    batch, channels, height, width = x.shape
    rows, columns = (x.new_empty(batch, length, channels) for length in (height, width))
    return rows.transpose(1, 2), columns.transpose(1, 2)


def _plain(x: Tensor) -> tuple[Tensor, Tensor]:
    rows, columns = reference.axial_mean(x)
    return _channels_side_by_side(rows), _channels_side_by_side(columns)


def _channels_side_by_side(x: Tensor) -> Tensor:
    # Not contiguous(), which may leave the strides of an axis of size 1.
    return x.new_empty(x.shape[0], x.shape[2], x.shape[1]).transpose(1, 2).copy_(x)


def _setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
    ctx.size = inputs[0].shape[2:]


def _backward(ctx: Any, rows: Tensor, columns: Tensor) -> Tensor:
    height, width = ctx.size
    return rows.unsqueeze(3) / width + columns.unsqueeze(2) / height


_axial_mean = register_differentiable(
    "axial_mean(Tensor x) -> (Tensor, Tensor)",
    plain=_plain,
    fake=_fake,
    setup_context=_setup_context,
    backward=_backward,
)


def axial_mean(x: Tensor) -> tuple[Tensor, Tensor]:
    """Means of a map over its width and over its height, reading it once.

    The squeeze of SeaFormer's axial attention (ICLR 2023, section 3.2)::

        rows[b, c, h]    = sum_w x[b, c, h, w] / W
        columns[b, c, w] = sum_h x[b, c, h, w] / H

    On the CPU a fused kernel does it in float32, to which float16 is converted and back; other
    dtypes and devices run in plain PyTorch. Differentiable to any order. Under autocast to float16
    it gives that, under others float32.

    Args:
        x: [B, C, H, W], any batch, C, H and W from 1, any floating dtype. Read where it lies if the
            channels of a pixel lie side by side, as in channels_last; otherwise converted once.

    Returns:
        (rows [B, C, H], columns [B, C, W]) in the dtype of x, the channels of a position side by
        side.

    Raises:
        TypeError: x is not a tensor of floating-point numbers.
        ValueError: x does not have four axes, or one of C, H and W is 0.
    """
    _maps.check_types("axial_mean", {"x": x}, {})
    _maps.check_floating("axial_mean", {"x": x})
    return _axial_mean(x)
