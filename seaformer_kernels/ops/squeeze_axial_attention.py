"""Squeeze-axial attention of queries, keys and values that the caller made."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from seaformer_kernels.ops import _maps
from seaformer_kernels.ops._library import register_differentiable
from seaformer_kernels.reference import squeeze_axial_attention as reference

_OP = "squeeze_axial_attention"
_POSITIONS = ("pos_row_q", "pos_row_k", "pos_col_q", "pos_col_k")


def _fake(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    pos_row_q: Tensor | None,
    pos_row_k: Tensor | None,
    pos_col_q: Tensor | None,
    pos_col_k: Tensor | None,
    num_heads: int,
    scale: float,
) -> tuple[Tensor, Tensor]:
    for name, x in (("q", q), ("k", k), ("v", v)):
        _maps.check_rank(_OP, name, x)
        _maps.check_filled(_OP, name, x)
    batch, keys, height, width = q.shape
    values = v.shape[1]
    if k.shape != q.shape or v.shape != (batch, values, height, width):
        raise ValueError(
            f"{_OP}: expected q and k of one shape, and v of their batch and size, got "
            f"{list(q.shape)}, {list(k.shape)} and {list(v.shape)}"
        )
    if num_heads < 1 or keys % num_heads or values % num_heads:
        raise ValueError(
            f"{_OP}: expected num_heads to divide the channels of q, k and v, got {num_heads} "
            f"heads, {keys} and {values} channels"
        )
    positions = (pos_row_q, pos_row_k, pos_col_q, pos_col_k)
    for name, table in zip(_POSITIONS, positions, strict=True):
        if table is None:
            continue
        if table.dim() != 3 or table.shape[:2] != (1, keys) or table.shape[2] == 0:
            raise ValueError(
                f"{_OP}: expected {name} of shape [1, {keys}, positions], got {list(table.shape)}"
            )
    _maps.check_one_dtype(_OP, q, k, v, *positions)
    row = _maps.empty_map(q, batch, values, height, 1, dtype=q.dtype)
    return row, _maps.empty_map(q, batch, values, 1, width, dtype=q.dtype)


def _plain(*args: Any) -> tuple[Tensor, Tensor]:
    row, column = reference.squeeze_axial_attention(*args)
    return _maps.channels_last(row), _maps.channels_last(column)


_squeeze_axial_attention = register_differentiable(
    "squeeze_axial_attention(Tensor q, Tensor k, Tensor v, Tensor? pos_row_q, Tensor? pos_row_k, "
    "Tensor? pos_col_q, Tensor? pos_col_k, int num_heads, float scale) -> (Tensor, Tensor)",
    plain=_plain,
    fake=_fake,
)


def squeeze_axial_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    pos_row_q: Tensor | None,
    pos_row_k: Tensor | None,
    pos_col_q: Tensor | None,
    pos_col_k: Tensor | None,
    num_heads: int,
    scale: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention along rows and along columns of a map, squeezed to their means.

    The squeeze-axial attention of SeaFormer (ICLR 2023, section 3.2), without the projections
    around it. With the means over the width, and p resized linearly (half-pixel centres) to H
    positions,

        q'[h] = mean_w q[h, w] + resize(pos_row_q)[h],    k' likewise,    v'[h] = mean_w v[h, w]
        row[h] = sum_i softmax_i(scale * q'[h] . k'[i]) v'[i]

    in each head; columns are the same with H and W exchanged. Added to a map, row and column
    broadcast. Time and memory grow with H * W + H^2 + W^2, not with (H * W)^2.

    On the CPU a fused kernel does it in float32, to which float16 is converted and back; other
    dtypes and devices run in plain PyTorch. Differentiable: gradients come from the plain
    definition, computed again from the inputs, and can be differentiated again. Under autocast to
    float16 it gives that, under others float32.

    Args:
        q, k: [B, num_heads * key_dim, H, W], any batch, H and W from 1, any floating dtype. Read
            where they lie if the channels of a pixel lie side by side, as in channels_last or in
            parts of one; otherwise converted once.
        v: [B, num_heads * value_dim, H, W], likewise.
        pos_row_q, pos_row_k, pos_col_q, pos_col_k: learned positions [1, num_heads * key_dim, P]
            in the dtype of q, any P from 1 for each, or None for none.
        num_heads: number of heads; channels of a head follow each other.
        scale: of scores; None for key_dim ** -0.5.

    Returns:
        (row [B, V, H, 1], column [B, V, 1, W]), V = num_heads * value_dim, in the dtype of q,
        channels_last.

    Raises:
        TypeError: an argument has a wrong type.
        ValueError: shapes or dtypes do not fit.
    """
    positions = dict(zip(_POSITIONS, (pos_row_q, pos_row_k, pos_col_q, pos_col_k), strict=True))
    tensors = {"q": q, "k": k, "v": v}
    tensors |= {name: x for name, x in positions.items() if x is not None}
    _maps.check_types(_OP, tensors, {"num_heads": num_heads})
    _maps.check_floating(_OP, tensors)
    _maps.check_rank(_OP, "q", q)
    _maps.check_positive(_OP, "num_heads", num_heads)
    if scale is None:
        scale = max(q.shape[1] // num_heads, 1) ** -0.5
    elif not isinstance(scale, int | float):
        raise TypeError(f"{_OP}: expected scale as a number or None, got {type(scale).__name__}")
    return _squeeze_axial_attention(q, k, v, *positions.values(), num_heads, float(scale))
