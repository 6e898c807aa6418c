"""Bilinear resize, then argmax over classes, in plain PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def label_dtype(classes: int) -> torch.dtype:
    """The narrowest of uint8 and int32 that holds every label."""
    return torch.uint8 if classes <= 256 else torch.int32


def upsample_argmax(logits: Tensor, size: Sequence[int], align_corners: bool = False) -> Tensor:
    """Labels [B, H, W] of logits [B, C, h, w] resized to ``size`` = (H, W).

    Logits of a half type are resized in float32. ``align_corners`` is that of ``interpolate``.
    """
    if logits.dtype.itemsize == 2:
        logits = logits.float()
    resized = F.interpolate(logits, size=list(size), mode="bilinear", align_corners=align_corners)
    return resized.argmax(dim=1).to(label_dtype(logits.shape[1]))
