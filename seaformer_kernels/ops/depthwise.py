"""A depthwise convolution with its activation."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from seaformer_kernels.ops import _maps
from seaformer_kernels.ops._activation import Activation, activate
from seaformer_kernels.ops._element import code_of
from seaformer_kernels.ops._library import register
from seaformer_kernels.ops._packed import (
    PADS_SAME,
    Header,
    Kind,
    Weights,
    check_buffer,
    check_length,
    check_weights,
    pack,
    read_header,
    unpack,
)
from seaformer_kernels.ops._window import padding_flag


def _check_geometry(op: str, kernel_size: int, stride: int) -> None:
    if kernel_size not in (3, 5, 7) or stride not in (1, 2):
        raise ValueError(
            f"{op}: expected kernel_size 3, 5 or 7 and stride 1 or 2, got {kernel_size} and "
            f"{stride}"
        )


def _header(channels: int, kernel_size: int, stride: int, element: int) -> Header:
    return Header(
        Kind.DEPTHWISE,
        in_channels=channels,
        hidden_channels=channels,
        out_channels=channels,
        kernel_size=kernel_size,
        stride=stride,
        element=element,
    )


def _fake(x: Tensor, packed: Tensor, kernel_size: int, stride: int) -> Tensor:
    _maps.check_map("depthwise", "x", x)
    _check_geometry("depthwise", kernel_size, stride)
    check_buffer("depthwise", packed)
    element = code_of("depthwise", x.dtype)
    check_length("depthwise", _header(x.shape[1], kernel_size, stride, element), packed)
    batch, channels, height, width = x.shape
    return _maps.empty_map(
        x, batch, channels, (height - 1) // stride + 1, (width - 1) // stride + 1
    )


def _plain(x: Tensor, packed: Tensor, kernel_size: int, stride: int) -> Tensor:
    header = read_header(
        "depthwise",
        Kind.DEPTHWISE,
        packed,
        x.dtype,
        in_channels=x.shape[1],
        kernel_size=kernel_size,
        stride=stride,
    )
    (weights,) = unpack(header, packed)
    same = bool(header.flags & PADS_SAME)
    y = _maps.depthwise(x.float(), *weights, stride, pads_same=same)
    return _maps.channels_last(activate(y, header.depthwise_activation), x.dtype)


_depthwise = register(
    "depthwise(Tensor x, Tensor packed, int kernel_size, int stride) -> Tensor",
    plain=_plain,
    fake=_fake,
    differentiable_output=True,
)


def pack_depthwise(
    weights: Weights,
    *,
    stride: int = 1,
    padding: str = "symmetric",
    activation: str = "none",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Packed weights for `depthwise`.

    Args:
        weights: float32 weight [channels, 1, k, k] with k 3, 5 or 7 and bias [channels], batch
            norm folded in.
        stride: of rows and columns, 1 or 2.
        padding: "symmetric", k // 2 on every side, or "same", TensorFlow's.
        activation: one of `ACTIVATIONS`, or a leaky ReLU such as "leaky_relu(0.1)",
            after the convolution.
        dtype: of the maps, and of the weights as they are stored; float32, float16 or bfloat16.

    Returns:
        A uint8 tensor, the same for every instruction set.

    Raises:
        TypeError: weights are not float32 tensors.
        ValueError: a shape, the stride, the padding or the activation is not one of these, or
            dtype cannot hold a weight.
    """
    op = "pack_depthwise"
    element = code_of(op, dtype)
    check_weights(op, "depthwise", weights, (None, 1, None, None))
    channels, _, rows, columns = weights[0].shape
    if rows != columns:
        raise ValueError(f"{op}: expected a square kernel, got {rows}x{columns}")
    _check_geometry(op, rows, stride)
    header = dataclasses.replace(
        _header(channels, rows, stride, element),
        depthwise_activation=Activation.of(op, activation),
        flags=padding_flag(op, padding),
    )
    return pack(header, weights)


def depthwise(x: Tensor, packed: Tensor, kernel_size: int, stride: int = 1) -> Tensor:
    """A depthwise convolution and its activation, which the packed weights name.

    On the CPU a kernel of ours does it, elsewhere plain PyTorch. There is no gradient.

    Args:
        x: [B, channels, H, W] of the packed weights' type, any batch, H and W from 1; converted
            once if not channels_last.
        packed: from `pack_depthwise`.
        kernel_size, stride: as packed.

    Returns:
        [B, channels, ceil(H / stride), ceil(W / stride)] of the type of x, channels_last.

    Raises:
        TypeError: an argument has a wrong type, or x is of a type that no weights have.
        ValueError: a shape or number is wrong, or packed is not for this call.
        RuntimeError: x requires grad, and grad mode is on.
    """
    _maps.check_call("depthwise", x, packed, kernel_size=kernel_size, stride=stride)
    return _depthwise(x, packed, kernel_size, stride)
