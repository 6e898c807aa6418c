"""Expansion, depthwise convolution and projection in one pass."""

from __future__ import annotations

import torch
from torch import Tensor

from seaformer_kernels.ops import _maps
from seaformer_kernels.ops._element import code_of
from seaformer_kernels.ops._library import register
from seaformer_kernels.ops._packed import (
    EXPANDS,
    Activation,
    Header,
    Kind,
    Weights,
    check_buffer,
    check_weights,
    pack,
    read_header,
    unpack,
)


def check_geometry(
    op: str, in_channels: int, out_channels: int, kernel_size: int, stride: int, *, residual: bool
) -> None:
    """Raises ValueError unless there is such a block."""
    if kernel_size not in (3, 5) or stride not in (1, 2):
        raise ValueError(
            f"{op}: expected kernel_size 3 or 5 and stride 1 or 2, got {kernel_size} and {stride}"
        )
    if residual and (stride != 1 or out_channels != in_channels):
        raise ValueError(
            f"{op}: expected stride 1 and as many output as input channels for a residual, got "
            f"stride {stride}, {in_channels} in and {out_channels} out"
        )


def _fake(
    x: Tensor, packed: Tensor, out_channels: int, kernel_size: int, stride: int, residual: bool
) -> Tensor:
    _maps.check_map("inverted_residual", "x", x)
    _maps.check_positive("inverted_residual", "out_channels", out_channels)
    check_geometry(
        "inverted_residual", x.shape[1], out_channels, kernel_size, stride, residual=residual
    )
    check_buffer("inverted_residual", packed)
    batch, _, height, width = x.shape
    return _maps.empty_map(
        x, batch, out_channels, (height - 1) // stride + 1, (width - 1) // stride + 1
    )


def plain(
    x: Tensor,
    packed: Tensor,
    out_channels: int,
    kernel_size: int,
    stride: int,
    residual: bool,
    op: str = "inverted_residual",
) -> Tensor:
    """The op in plain PyTorch; messages begin with `op`."""
    header = read_header(
        op,
        Kind.INVERTED_RESIDUAL,
        packed,
        x.dtype,
        in_channels=x.shape[1],
        out_channels=out_channels,
        kernel_size=kernel_size,
        stride=stride,
    )
    *expand, depthwise, project = unpack(header, packed)
    y = given = x.float()
    if expand:
        y = _maps.activate(_maps.pointwise(y, *expand[0]), header.expand_activation)
    y = _maps.activate(_maps.depthwise(y, *depthwise, stride), header.depthwise_activation)
    y = _maps.pointwise(y, *project)
    return _maps.channels_last(given + y if residual else y, x.dtype)


_inverted_residual = register(
    "inverted_residual(Tensor x, Tensor packed, int out_channels, int kernel_size, int stride, "
    "bool residual) -> Tensor",
    plain=plain,
    fake=_fake,
    differentiable_output=True,
)


def pack_inverted_residual(
    expand: Weights | None,
    depthwise: Weights,
    project: Weights,
    *,
    stride: int = 1,
    expand_activation: str = "relu",
    depthwise_activation: str = "relu",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Packed weights for `inverted_residual`.

    Args:
        expand: float32 weight [hidden, in, 1, 1] and bias [hidden], batch norm folded in; None
            if there is no expansion.
        depthwise: likewise, weight [hidden, 1, k, k] with k 3 or 5.
        project: likewise, weight [out, hidden, 1, 1].
        stride: of the depthwise convolution, 1 or 2.
        expand_activation: "none", "relu", "relu6" or "hardsigmoid", after the expansion.
        depthwise_activation: the same but for "hardsigmoid", after the depthwise convolution.
        dtype: of the maps, and of the weights as they are stored; float32, float16 or bfloat16.

    Returns:
        A uint8 tensor, the same for every instruction set.

    Raises:
        TypeError: weights are not float32 tensors.
        ValueError: a shape, the stride or an activation is not one of these, or dtype cannot
            hold a weight.
    """
    op = "pack_inverted_residual"
    element = code_of(op, dtype)
    check_weights(op, "depthwise", depthwise, (None, 1, None, None))
    hidden, _, *kernel = depthwise[0].shape
    if kernel not in ([3, 3], [5, 5]) or stride not in (1, 2):
        raise ValueError(
            f"{op}: expected a kernel of 3x3 or 5x5 and stride 1 or 2, got "
            f"{kernel[0]}x{kernel[1]} and {stride}"
        )
    check_weights(op, "project", project, (None, hidden, 1, 1))
    if expand is not None:
        check_weights(op, "expand", expand, (hidden, None, 1, 1))
    codes = {activation.name.lower(): activation for activation in Activation}
    if expand_activation not in codes or depthwise_activation not in [*codes][:-1]:
        raise ValueError(
            f"{op}: expected activations among {', '.join(codes)}, the last after the expansion "
            f"only, got {expand_activation!r} and {depthwise_activation!r}"
        )
    header = Header(
        Kind.INVERTED_RESIDUAL,
        in_channels=hidden if expand is None else expand[0].shape[1],
        hidden_channels=hidden,
        out_channels=len(project[0]),
        kernel_size=kernel[0],
        stride=stride,
        expand_activation=Activation.NONE if expand is None else codes[expand_activation],
        depthwise_activation=codes[depthwise_activation],
        flags=0 if expand is None else EXPANDS,
        element=element,
    )
    return pack(header, *([] if expand is None else [expand]), depthwise, project)


def inverted_residual(
    x: Tensor,
    packed: Tensor,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    residual: bool = False,
) -> Tensor:
    """1x1 expansion, depthwise convolution and 1x1 projection, without storing the wide maps.

    The block of MobileNetV2 and of SeaFormer's convolutional stages; with other activations,
    which the packed weights name, also the MLP of its layers. On the CPU a fused kernel does it,
    elsewhere plain PyTorch. There is no gradient.

    Args:
        x: [B, in, H, W] of the packed weights' type, any batch, H and W from 1; converted
            once if not channels_last.
        packed: from `pack_inverted_residual`.
        out_channels, kernel_size, stride: as packed. Padding is kernel_size // 2.
        residual: add x to the result, which needs stride 1 and equal widths.

    Returns:
        [B, out_channels, ceil(H / stride), ceil(W / stride)] of the type of x, channels_last.

    Raises:
        TypeError: an argument has a wrong type, or x is of a type that no weights have.
        ValueError: a shape or number is wrong, or packed is not for this call.
        RuntimeError: x requires grad, and grad mode is on.
    """
    _maps.check_call(
        "inverted_residual",
        x,
        packed,
        out_channels=out_channels,
        kernel_size=kernel_size,
        stride=stride,
    )
    return _inverted_residual(x, packed, out_channels, kernel_size, stride, bool(residual))
