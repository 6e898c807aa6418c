"""A 1x1 convolution with its activation."""

from __future__ import annotations

import torch
from torch import Tensor

from seaformer_kernels.ops import _maps
from seaformer_kernels.ops._activation import Activation, activate
from seaformer_kernels.ops._element import code_of
from seaformer_kernels.ops._library import register
from seaformer_kernels.ops._packed import (
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


def _fake(x: Tensor, packed: Tensor, out_channels: int) -> Tensor:
    _maps.check_map("pointwise", "x", x)
    _maps.check_positive("pointwise", "out_channels", out_channels)
    check_buffer("pointwise", packed)
    element = code_of("pointwise", x.dtype)
    header = Header(Kind.POINTWISE, x.shape[1], out_channels=out_channels, element=element)
    check_length("pointwise", header, packed)
    return _maps.empty_map(x, x.shape[0], out_channels, *x.shape[2:])


def _plain(x: Tensor, packed: Tensor, out_channels: int) -> Tensor:
    header = read_header(
        "pointwise",
        Kind.POINTWISE,
        packed,
        x.dtype,
        in_channels=x.shape[1],
        out_channels=out_channels,
    )
    (weights,) = unpack(header, packed)
    y = activate(_maps.pointwise(x.float(), *weights), header.expand_activation)
    return _maps.channels_last(y, x.dtype)


_pointwise = register(
    "pointwise(Tensor x, Tensor packed, int out_channels) -> Tensor",
    plain=_plain,
    fake=_fake,
    differentiable_output=True,
)


def pack_pointwise(
    weights: Weights, *, activation: str = "none", dtype: torch.dtype = torch.float32
) -> Tensor:
    """Packed weights for `pointwise`.

    Args:
        weights: float32 weight [out, in, 1, 1] and bias [out], batch norm folded in.
        activation: one of `ACTIVATIONS`, or a leaky ReLU such as "leaky_relu(0.1)",
            after the convolution.
        dtype: of the maps, and of the weights as they are stored; float32, float16 or bfloat16.

    Returns:
        A uint8 tensor, the same for every instruction set.

    Raises:
        TypeError: weights are not float32 tensors.
        ValueError: a shape or the activation is not one of these, or dtype cannot
            hold a weight.
    """
    element = code_of("pack_pointwise", dtype)
    check_weights("pack_pointwise", "convolution", weights, (None, None, 1, 1))
    out_channels, in_channels = weights[0].shape[:2]
    header = Header(
        Kind.POINTWISE,
        in_channels,
        out_channels=out_channels,
        expand_activation=Activation.of("pack_pointwise", activation),
        element=element,
    )
    return pack(header, weights)


def pointwise(x: Tensor, packed: Tensor, out_channels: int) -> Tensor:
    """1x1 convolution and its activation, which the packed weights name.

    On the CPU a kernel of ours does it, elsewhere plain PyTorch. There is no gradient.

    Args:
        x: [B, in, H, W] of the packed weights' type, any batch, H and W from 1; converted
            once if not channels_last.
        packed: from `pack_pointwise`.
        out_channels: as packed.

    Returns:
        [B, out_channels, H, W] of the type of x, channels_last.

    Raises:
        TypeError: an argument has a wrong type, or x is of a type that no weights have.
        ValueError: a shape or number is wrong, or packed is not for this call.
        RuntimeError: x requires grad, and grad mode is on.
    """
    _maps.check_call("pointwise", x, packed, out_channels=out_channels)
    return _pointwise(x, packed, out_channels)
