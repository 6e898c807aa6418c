"""Depthwise 3x3 convolution, activation and 1x1 convolution in plain PyTorch."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

ACTIVATIONS = {"none": lambda x: x, "relu": F.relu, "relu6": F.relu6}


def detail_enhancement(
    qkv: Tensor,
    dw_weight: Tensor,
    dw_bias: Tensor | None,
    pw_weight: Tensor,
    pw_bias: Tensor | None,
    activation: str,
) -> Tensor:
    """[B, C, H, W] of qkv [B, A, H, W] and weights [A, 1, 3, 3] and [C, A, 1, 1]."""
    filtered = F.conv2d(qkv, dw_weight, dw_bias, padding=1, groups=qkv.shape[1])
    return F.conv2d(ACTIVATIONS[activation](filtered), pw_weight, pw_bias)
