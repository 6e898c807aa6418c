"""Squeeze-axial attention of given queries, keys and values in plain PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def squeeze_axial_attention(
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
    """Rows [B, V, H, 1] and columns [B, V, 1, W] of maps q, k [B, K, H, W] and v [B, V, H, W]."""

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Multi-head attention over the last axis of [B, heads * width, L]; [B, L, V]."""
        q, k, v = (t.unflatten(1, (num_heads, -1)) for t in (q, k, v))
        shares = (scale * torch.einsum("bhdi,bhdj->bhij", q, k)).softmax(3)
        return torch.einsum("bhij,bhdj->bihd", shares, v).flatten(2)

    rows = attend(_place(q.mean(3), pos_row_q), _place(k.mean(3), pos_row_k), v.mean(3))
    columns = attend(_place(q.mean(2), pos_col_q), _place(k.mean(2), pos_col_k), v.mean(2))
    return rows.transpose(1, 2).unsqueeze(3), columns.transpose(1, 2).unsqueeze(2)


def _place(x: Tensor, positions: Tensor | None) -> Tensor:
    """x [B, K, L] plus positions [1, K, any], resized to L with half-pixel centres."""
    if positions is None:
        return x
    return x + F.interpolate(positions, size=x.shape[-1], mode="linear", align_corners=False)
