"""How a convolution pads, also one whose class pads in a forward of its own."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seaformer_kernels.optimize.structure.values import Padding


def padding_of(conv: nn.Conv2d) -> Padding | None:
    """Zeros at each side of rows and columns, "same" for TensorFlow's, or None for other padding.

    TensorFlow adds as many as make ceil(size / stride) outputs, the odd one behind. A class with a
    forward of its own is tried on random maps.
    """
    if conv.padding_mode != "zeros":
        return None
    kind = type(conv)
    if kind.forward is nn.Conv2d.forward and kind._conv_forward is nn.Conv2d._conv_forward:
        return _stated(conv)
    return _tried(conv)


def _stated(conv: nn.Conv2d) -> Padding | None:
    if conv.padding == "valid":
        return 0, 0
    if conv.padding == "same":
        spans = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
        return None if any(span % 2 for span in spans) else (spans[0] // 2, spans[1] // 2)
    return tuple(conv.padding)


@torch.no_grad()
def _tried(conv: nn.Conv2d) -> Padding | None:
    stated = _stated(conv) if not isinstance(conv.padding, str) else None
    generator = torch.Generator().manual_seed(0)
    sizes = [(11, 14), (12, 9)]
    maps = [torch.randn(1, conv.in_channels, *size, generator=generator) for size in sizes]
    candidates: list[Padding] = ["same"] if stated is None else [stated, "same"]
    for padding in candidates:
        if all(_pads(conv, x, padding) for x in maps):
            return padding
    return None


def _pads(conv: nn.Conv2d, x: Tensor, padding: Padding) -> bool:
    """Whether a convolution does on x what it would with this padding."""
    expected = convolve(conv, x, padding)
    try:
        got = conv(x.clone())
    except Exception:
        return False
    return (
        isinstance(got, Tensor)
        and got.shape == expected.shape
        and torch.allclose(got, expected, rtol=1e-4, atol=1e-5)
    )


def convolve(conv: nn.Conv2d, x: Tensor, padding: Padding) -> Tensor:
    """The convolution of a map with another padding than its own."""
    if padding == "same":
        sides = zip(x.shape[2:], conv.kernel_size, conv.stride, conv.dilation, strict=True)
        (top, bottom), (left, right) = (same_padding(*side) for side in sides)
        x, padding = F.pad(x, (left, right, top, bottom)), (0, 0)
    run = functools.partial(F.conv2d, stride=conv.stride, padding=padding, dilation=conv.dilation)
    return run(x, conv.weight, conv.bias, groups=conv.groups)


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Zeros before and behind an axis of a map, as TensorFlow's "same" has them."""
    total = max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return total // 2, total - total // 2
