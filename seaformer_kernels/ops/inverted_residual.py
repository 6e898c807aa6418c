"""Expansion, depthwise convolution and projection in one pass."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import torch
from torch import Tensor

from seaformer_kernels.ops import _int8, _maps
from seaformer_kernels.ops._activation import Activation, activate
from seaformer_kernels.ops._element import WITH_INT8, code_of
from seaformer_kernels.ops._int8 import Int8Layer
from seaformer_kernels.ops._library import register
from seaformer_kernels.ops._packed import (
    EXPANDS,
    PADS_SAME,
    READS_RELU,
    WRITES_RELU,
    Header,
    Kind,
    Weights,
    check_buffer,
    check_weights,
    pack,
    read_header,
    unpack,
)
from seaformer_kernels.ops._window import padding_flag


class SqueezeExcite(NamedTuple):
    """What multiplies a map: its mean through two fully connected layers, a number a channel.

    Attributes:
        reduce: float32 weight [squeezed, channels, 1, 1] and bias [squeezed].
        expand: likewise, weight [channels, squeezed, 1, 1].
        activation: behind the first, as `pack_inverted_residual` names them.
        gate: behind the second, "hardsigmoid" or "sigmoid".
    """

    reduce: Weights
    expand: Weights
    activation: str = "relu"
    gate: str = "hardsigmoid"


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
    _maps.check_map("inverted_residual", "x", x, WITH_INT8)
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
    if header.dtype == torch.int8:
        return _plain_int8(x, header, packed, residual)
    weights = iter(unpack(header, packed))
    y = given = x.float()
    if header.flags & EXPANDS:
        y = activate(_maps.pointwise(y, *next(weights)), header.expand_activation)
    y = _maps.depthwise(y, *next(weights), stride, pads_same=bool(header.flags & PADS_SAME))
    y = activate(y, header.depthwise_activation)
    if header.squeezed_channels:
        factors = y.mean((2, 3), keepdim=True)
        for activation in header.squeeze_activation, header.squeeze_gate:
            factors = activate(_maps.pointwise(factors, *next(weights)), activation)
        y = y * factors
    y = activate(_maps.pointwise(y, *next(weights)), header.output_activation)
    return _maps.channels_last(given + y if residual else y, x.dtype)


def _plain_int8(x: Tensor, header: Header, packed: Tensor, residual: bool) -> Tensor:
    scales, sections = _int8.read_sections(header, packed)
    zero = _int8.LEAST if header.flags & READS_RELU else 0
    y = given = x.int() - zero
    if header.flags & EXPANDS:
        expand = _int8.unpack_layer(*sections.pop(0), zero)
        zero = _int8.zero_point(header.expand_activation)
        sums = _int8.pointwise(y, expand)
        y = _int8.requantize(sums, expand.multiplier, zero).int() - zero
    depthwise = _int8.unpack_layer(*sections[0])
    sums = _int8.depthwise(y, depthwise, header.stride)
    zero = _int8.zero_point(header.depthwise_activation)
    y = _int8.requantize(sums, depthwise.multiplier, zero).int() - zero
    added = _int8.scaled(given, int(scales[2])) if residual else None
    project = _int8.unpack_layer(*sections[1], zero)
    sums = _int8.pointwise(y, project)
    zero = _int8.LEAST if header.flags & WRITES_RELU else 0
    return _maps.channels_last(_int8.requantize(sums, project.multiplier, zero, added))


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
    project_activation: str = "none",
    padding: str = "symmetric",
    squeeze: SqueezeExcite | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Packed weights for `inverted_residual`.

    Args:
        expand: float32 weight [hidden, in, 1, 1] and bias [hidden], batch norm folded in; None
            if there is no expansion.
        depthwise: likewise, weight [hidden, 1, k, k] with k 3 or 5.
        project: likewise, weight [out, hidden, 1, 1].
        stride: of the depthwise convolution, 1 or 2.
        expand_activation, depthwise_activation, project_activation: one of `ACTIVATIONS`, or a
            leaky ReLU such as "leaky_relu(0.1)", after the convolution of that name; the last
            before a residual is added.
        padding: of the depthwise convolution: "symmetric", k // 2 on every side, or "same",
            TensorFlow's.
        squeeze: squeeze-and-excite behind the depthwise convolution and its activation, whose
            layers are calculated in float32 whatever the dtype; None if there is none.
        dtype: of the maps, and of the weights as they are stored; float32, float16 or bfloat16.

    Returns:
        A uint8 tensor, the same for every instruction set.

    Raises:
        TypeError: weights are not float32 tensors, or squeeze is no SqueezeExcite.
        ValueError: a shape, the stride, the padding or an activation is not one of these, or dtype
            cannot hold a weight.
    """
    op = "pack_inverted_residual"
    element = code_of(op, dtype)
    check_weights(op, "depthwise", depthwise, (None, 1, None, None))
    check_weights(op, "project", project, (None, len(depthwise[0]), 1, 1))
    if expand is not None:
        check_weights(op, "expand", expand, (len(depthwise[0]), None, 1, 1))
    expanded, filtered, projected = (
        Activation.of(op, name)
        for name in (expand_activation, depthwise_activation, project_activation)
    )
    weights = (None if expand is None else expand[0], depthwise[0], project[0])
    header = _header(op, *weights, stride, expanded, filtered, element)
    header = dataclasses.replace(
        header, flags=header.flags | padding_flag(op, padding), output_activation=projected
    )
    layers = [] if expand is None else [expand]
    layers.append(depthwise)
    if squeeze is not None:
        header = dataclasses.replace(header, **_squeeze_fields(op, squeeze, header.hidden_channels))
        layers += squeeze[:2]
    return pack(header, *layers, project)


def _squeeze_fields(op: str, squeeze: SqueezeExcite, channels: int) -> dict[str, int]:
    """What a header says of it; raises as `pack_inverted_residual` does."""
    if not isinstance(squeeze, SqueezeExcite):
        raise TypeError(f"{op}: expected squeeze as a SqueezeExcite, got {type(squeeze).__name__}")
    check_weights(op, "squeeze reduce", squeeze.reduce, (None, channels, 1, 1))
    squeezed = len(squeeze.reduce[0])
    check_weights(op, "squeeze expand", squeeze.expand, (channels, squeezed, 1, 1))
    if squeeze.gate not in ("hardsigmoid", "sigmoid"):
        raise ValueError(
            f"{op}: expected hardsigmoid or sigmoid as the gate of squeeze, got {squeeze.gate!r}"
        )
    activation, gate = (Activation.of(op, name) for name in (squeeze.activation, squeeze.gate))
    return {"heads": squeezed, "key_dim": activation, "classes": gate}


def pack_int8_inverted_residual(
    expand: Int8Layer | None,
    depthwise: Int8Layer,
    project: Int8Layer,
    *,
    input_scale: float,
    output_scale: float,
    ratio: int = 0,
    stride: int = 1,
    input_activation: str = "none",
    expand_activation: str = "relu",
    depthwise_activation: str = "relu",
    output_activation: str = "none",
) -> Tensor:
    """Packed weights for `inverted_residual` of int8 maps.

    An int8 number q stands for scale * (q - zero), where zero is -128 behind an activation and
    else 0; csrc/core/quantized.h says what a layer makes of it. `quantize` packs models.

    Args:
        expand: weight [hidden, in, 1, 1]; None if there is no expansion.
        depthwise: weight [hidden, 1, k, k] with k 3 or 5.
        project: weight [out, hidden, 1, 1].
        input_scale, output_scale: of the maps outside.
        ratio: for a residual, input_scale / output_scale in units of 2^-12.
        stride: of the depthwise convolution, 1 or 2.
        input_activation, expand_activation, depthwise_activation: "none", "relu" or "relu6", behind
            which the input, the expansion and the depthwise convolution are.
        output_activation: likewise, behind which the output is, with the residual added.

    Returns:
        A uint8 tensor, the same for every instruction set.

    Raises:
        TypeError: layers are not of tensors of their types.
        ValueError: a shape, scale, ratio, stride or activation is not one of these; or a layer is
            beyond the limits, within which sums are exact.
    """
    op = "pack_int8_inverted_residual"
    names = (input_activation, expand_activation, depthwise_activation, output_activation)
    given = [Activation.of(op, name, Activation.RELU6) for name in names]
    zero_in, zero_expanded, zero_hidden, zero_out = map(_int8.zero_point, given)
    if expand is None:
        zero_expanded = zero_in
    else:
        _int8.check_layer(op, "expand", expand, (None, None, 1, 1), zero_in, zero_expanded)
    _int8.check_layer(op, "depthwise", depthwise, (None, 1, None, None), zero_expanded, zero_hidden)
    hidden = len(depthwise.weight)
    _int8.check_layer(op, "project", project, (None, hidden, 1, 1), zero_hidden, zero_out)
    if expand is not None and len(expand.weight) != hidden:
        raise ValueError(
            f"{op}: expected as many outputs of the expansion as channels behind it, got "
            f"{len(expand.weight)} and {hidden}"
        )
    _int8.check_scales(op, input_scale, output_scale)
    if not 0 <= ratio <= _int8.MOST_RATIO:
        raise ValueError(
            f"{op}: expected a ratio from 0 to {_int8.MOST_RATIO}, got {ratio}: the output's scale "
            "is too small beside the input's"
        )
    weights = (None if expand is None else expand.weight, depthwise.weight, project.weight)
    element = code_of(op, torch.int8, WITH_INT8)
    _, expanded, filtered, _ = given
    header = _header(op, *weights, stride, expanded, filtered, element)
    flags = (READS_RELU if zero_in else 0) | (WRITES_RELU if zero_out else 0)
    header = dataclasses.replace(header, flags=header.flags | flags)
    sections = [
        _int8.pack_layer(depthwise, zero_out=zero_hidden, depthwise=True),
        _int8.pack_layer(project, zero_in=zero_hidden, zero_out=zero_out),
    ]
    if expand is not None:
        sections.insert(0, _int8.pack_layer(expand, zero_in=zero_in, zero_out=zero_expanded))
    return pack(header, _int8.pack_scales(input_scale, output_scale, ratio), *sections)


def _header(
    op: str,
    expand: Tensor | None,
    depthwise: Tensor,
    project: Tensor,
    stride: int,
    expand_activation: int,
    depthwise_activation: int,
    element: int,
) -> Header:
    """The header of weights with these shapes."""
    hidden, _, *kernel = depthwise.shape
    if kernel not in ([3, 3], [5, 5]) or stride not in (1, 2):
        raise ValueError(
            f"{op}: expected a kernel of 3x3 or 5x5 and stride 1 or 2, got "
            f"{kernel[0]}x{kernel[1]} and {stride}"
        )
    return Header(
        Kind.INVERTED_RESIDUAL,
        in_channels=hidden if expand is None else expand.shape[1],
        hidden_channels=hidden,
        out_channels=len(project),
        kernel_size=kernel[0],
        stride=stride,
        expand_activation=Activation.NONE if expand is None else expand_activation,
        depthwise_activation=depthwise_activation,
        flags=0 if expand is None else EXPANDS,
        element=element,
    )


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
    which the packed weights name, also the MLP of its layers, and those of MobileNetV3 and
    EfficientNet. On the CPU a fused kernel does it,
    elsewhere plain PyTorch. There is no gradient.

    Args:
        x: [B, in, H, W] of the packed weights' type, any batch, H and W from 1; converted
            once if not channels_last.
        packed: from `pack_inverted_residual` or, for int8 maps, `pack_int8_inverted_residual`.
        out_channels, kernel_size, stride: as packed.
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
        WITH_INT8,
        out_channels=out_channels,
        kernel_size=kernel_size,
        stride=stride,
    )
    return _inverted_residual(x, packed, out_channels, kernel_size, stride, bool(residual))
