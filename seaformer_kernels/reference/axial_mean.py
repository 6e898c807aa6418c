"""Means of rows and columns in plain PyTorch."""

from __future__ import annotations

from torch import Tensor


def axial_mean(x: Tensor) -> tuple[Tensor, Tensor]:
    """Means of x [B, C, H, W] over W, [B, C, H], and over H, [B, C, W]."""
    return x.mean(3), x.mean(2)
