"""A dense convolution with its activation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from seaformer_kernels.ops import _maps, _winograd
from seaformer_kernels.ops._activation import Activation, activate
from seaformer_kernels.ops._element import code_of
from seaformer_kernels.ops._library import register
from seaformer_kernels.ops._packed import (
    BY_WINOGRAD,
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
from seaformer_kernels.ops._window import Padding, Window, check_integers, padding_of


def _fake(
    x: Tensor,
    packed: Tensor,
    out_channels: int,
    kernel_size: Sequence[int],
    stride: int,
    padding: Sequence[int],
    dilation: int,
) -> Tensor:
    _maps.check_map("convolution", "x", x)
    _maps.check_positive("convolution", "out_channels", out_channels)
    window = Window(tuple(kernel_size), stride, tuple(padding), dilation)
    window.check("convolution")
    check_buffer("convolution", packed)
    element = code_of("convolution", x.dtype)
    header = _header_of(packed, window, x.shape[1], out_channels, element)
    check_length("convolution", header, packed)
    return _maps.empty_map(x, x.shape[0], out_channels, *window.out("convolution", x))


def _plain(
    x: Tensor,
    packed: Tensor,
    out_channels: int,
    kernel_size: Sequence[int],
    stride: int,
    padding: Sequence[int],
    dilation: int,
) -> Tensor:
    window = Window(tuple(kernel_size), stride, tuple(padding), dilation)
    element = code_of("convolution", x.dtype)
    form = _header_of(packed, window, x.shape[1], out_channels, element)
    header = read_header(
        "convolution",
        Kind.CONVOLUTION,
        packed,
        x.dtype,
        in_channels=x.shape[1],
        out_channels=out_channels,
        **window.fields() | {"flags": form.flags},
    )
    sections = unpack(header, packed)
    if header.flags & BY_WINOGRAD:
        weight, bias = _winograd.restored(sections)
    else:
        ((weight, bias),) = sections
        weight = weight.unflatten(1, (*window.size, -1)).permute(0, 3, 1, 2)  # packed by taps
    y = F.conv2d(window.pad(x.float()), weight, bias, stride, dilation=dilation)
    return _maps.channels_last(activate(y, header.expand_activation), x.dtype)


def _header(
    window: Window, in_channels: int, out_channels: int, activation: int = 0, element: int = 0
) -> Header:
    return Header(
        Kind.CONVOLUTION,
        in_channels,
        out_channels=out_channels,
        expand_activation=activation,
        element=element,
        **window.fields(),
    )


def _header_of(
    packed: Tensor, window: Window, in_channels: int, out_channels: int, element: int
) -> Header:
    """That of packed weights of this length: either form, else the one of any window."""
    direct = _header(window, in_channels, out_channels, element=element)
    winograd = dataclasses.replace(direct, flags=direct.flags | BY_WINOGRAD)
    served = _winograd.is_served(window, in_channels, out_channels, direct.dtype)
    return winograd if served and packed.shape[0] == winograd.byte_length() else direct


_convolution = register(
    "convolution(Tensor x, Tensor packed, int out_channels, int[] kernel_size, int stride, "
    "int[] padding, int dilation) -> Tensor",
    plain=_plain,
    fake=_fake,
    differentiable_output=True,
)


def pack_convolution(
    weights: Weights,
    *,
    stride: int = 1,
    padding: Padding = (0, 0),
    dilation: int = 1,
    activation: str = "none",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Packed weights for `convolution`.

    Args:
        weights: float32 weight [out, in, rows, columns] and bias [out], batch norm folded in;
            rows and columns from 1 to 7.
        stride: of rows and columns, 1 to 4.
        padding: zeros around rows and around columns, on either side, at most as many as the
            window reaches; or "same", TensorFlow's.
        dilation: of rows and columns, 1 to 128.
        activation: one of `ACTIVATIONS`, or a leaky ReLU such as "leaky_relu(0.1)",
            after the convolution.
        dtype: of the maps, and of the weights as they are stored; float32, float16 or bfloat16.

    Returns:
        A uint8 tensor, the same for every instruction set.

    Raises:
        TypeError: weights are not float32 tensors.
        ValueError: a shape, number or the activation is not one of these, or dtype cannot hold a
            weight.
    """
    op = "pack_convolution"
    element = code_of(op, dtype)
    check_weights(op, "convolution", weights, (None, None, None, None))
    weight, bias = weights
    out_channels, in_channels, *size = weight.shape
    window = Window((size[0], size[1]), stride, padding_of(padding), dilation)
    window.check(op)
    header = _header(window, in_channels, out_channels, Activation.of(op, activation), element)
    if not _winograd.is_served(window, in_channels, out_channels, dtype):
        return pack(header, (weight.permute(0, 2, 3, 1), bias))
    header = dataclasses.replace(header, flags=header.flags | BY_WINOGRAD)
    return pack(header, *_winograd.transformed(weight, bias))


def convolution(
    x: Tensor,
    packed: Tensor,
    out_channels: int,
    kernel_size: Sequence[int],
    stride: int = 1,
    padding: Padding = (0, 0),
    dilation: int = 1,
) -> Tensor:
    """A dense convolution and its activation, which the packed weights name.

    On the CPU a kernel of ours does it, a matrix product over patches of the map; of float32, 3x3,
    stride and dilation 1 and from 16 channels on it is Winograd's F(2x2, 3x3), where an output
    whose window covers an infinity may be NaN. Elsewhere plain PyTorch. There is no gradient.

    Args:
        x: [B, in, H, W] of the packed weights' type, any batch, H and W such that the window
            fits; converted once if not channels_last.
        packed: from `pack_convolution`.
        out_channels, kernel_size, stride, padding, dilation: as packed; kernel_size is that of
            rows and that of columns.

    Returns:
        [B, out_channels, H', W'] of the type of x, channels_last, sizes as `torch.nn.Conv2d` has
        them; with padding "same" ceil(H / stride) and ceil(W / stride).

    Raises:
        TypeError: an argument has a wrong type, or x is of a type that no weights have.
        ValueError: a shape or number is wrong, or packed is not for this call.
        RuntimeError: x requires grad, and grad mode is on.
    """
    op = "convolution"
    _maps.check_call(op, x, packed, out_channels=out_channels, stride=stride, dilation=dilation)
    around = padding_of(padding)
    check_integers(op, kernel_size=kernel_size, padding=around)
    return _convolution(x, packed, out_channels, list(kernel_size), stride, list(around), dilation)
