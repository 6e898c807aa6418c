"""Arithmetic on int8 maps, and packed weights for it.

csrc/core/quantized.h says what the numbers mean, and csrc/kernels/int8_pointwise how a section of
packed weights lies in memory: for each panel of 16 outputs biases, multipliers, offsets and sums of
weights, and then the weights by groups of four inputs, each output's side by side; those of a
depthwise convolution tap by tap.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seaformer_kernels.ops._activation import Activation
from seaformer_kernels.ops._packed import (
    GROUP,
    HEADER_BYTES,
    INT8_ARRAYS,
    PANEL,
    Header,
    Section,
    Weights,
    section_bytes,
)

LEAST, MOST = -128, 127  # quantized
UNIT = 2.0**-22  # multipliers are whole multiples of it
MOST_MULTIPLIER = 2.0
SUM_LIMIT = 1 << 22  # sums are below it
RESULT_LIMIT = 1 << 15  # and these times their multiplier
RATIO_ONE = 1 << 12  # of a residual
MOST_RATIO = 8 * RATIO_ONE - 1
_MAGIC = 12582912.0  # 1.5 * 2^23
_MAGIC_BITS = 0x4B400000
_EXACT_IN_FLOAT32 = 1 << 24


class Int8Layer(NamedTuple):
    """A convolution of int8 maps.

    Attributes:
        weight: int8 [outputs, ...], in [-127, 127].
        bias: int32 [outputs], added to the products of weights and inputs less their zero point.
        multiplier: float32 [outputs], of that sum; whole multiples of 2^-22 if outputs are int8.
    """

    weight: Tensor
    bias: Tensor
    multiplier: Tensor


def zero_point(activation: int) -> int:
    """That of maps behind an activation: saturation is the lower clamp."""
    return LEAST if activation in (Activation.RELU, Activation.RELU6) else 0


def quantize(x: Tensor, scale: Tensor | float, zero: int = 0) -> Tensor:
    """The int8 map of a float one; NaN becomes the zero point."""
    inverse = 1 / torch.as_tensor(scale, dtype=torch.float32, device=x.device)
    q = (x.float() * inverse).nan_to_num(0.0, float("inf"), -float("inf")).round() + zero
    return q.clamp(LEAST, MOST).to(torch.int8)


def dequantize(q: Tensor, scale: Tensor | float, zero: int = 0) -> Tensor:
    """The float32 map that an int8 one stands for."""
    return (q.float() - zero) * torch.as_tensor(scale, dtype=torch.float32, device=q.device)


def sum_bounds(layer: Int8Layer, zero: int) -> tuple[Tensor, Tensor]:
    """The least and the most sum of each output, whatever the inputs, which have a zero point."""
    weight = layer.weight.flatten(1).long()
    positive, negative = weight.clamp(min=0).sum(1), weight.clamp(max=0).sum(1)
    low, high = LEAST - zero, MOST - zero
    bias = layer.bias.long()
    return bias + low * positive + high * negative, bias + high * positive + low * negative


def check_layer(
    op: str,
    name: str,
    layer: Int8Layer,
    shape: tuple[int | None, ...],
    zero_in: int,
    zero_out: int | None,
) -> None:
    """Raises unless a layer has its types, shape and limits.

    In shape None stands for any size, and as zero_out for outputs of float32.
    """
    if not (
        isinstance(layer, tuple)
        and len(layer) == 3
        and all(isinstance(part, Tensor) and part.device.type == "cpu" for part in layer)
    ):
        raise TypeError(f"{op}: expected {name} as an Int8Layer of tensors on the CPU")
    layer = Int8Layer(*layer)
    types = (torch.int8, torch.int32, torch.float32)
    if tuple(part.dtype for part in layer) != types:
        raise TypeError(
            f"{op}: expected {name} weight, bias and multiplier of int8, int32 and float32, got "
            f"{', '.join(str(part.dtype) for part in layer)}"
        )
    outputs = layer.weight.shape[:1]
    fits = layer.weight.dim() == len(shape) and all(
        size > 0 and want in (None, size)
        for size, want in zip(layer.weight.shape, shape, strict=True)
    )
    if not fits or layer.bias.shape != outputs or layer.multiplier.shape != outputs:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(
            f"{op}: expected {name} weight of shape [{wanted}] and as many biases and multipliers, "
            f"got {', '.join(str(list(part.shape)) for part in layer)}"
        )
    if layer.weight.min() < -MOST:
        raise ValueError(f"{op}: expected {name} weights from -127 to 127, got -128")
    low, high = sum_bounds(layer, zero_in)
    most = torch.maximum(-low, high)
    if most.max() >= SUM_LIMIT:
        raise ValueError(
            f"{op}: expected {name} sums below 2^22 whatever the inputs, got up to {most.max()}"
        )
    multiplier = layer.multiplier.double()
    if zero_out is None:
        if not multiplier.isfinite().all():
            raise ValueError(f"{op}: expected finite {name} multipliers, got others")
        return
    whole = (multiplier / UNIT).round() * UNIT == multiplier
    if not (whole & (multiplier >= 0) & (multiplier <= MOST_MULTIPLIER)).all():
        raise ValueError(
            f"{op}: expected {name} multipliers from 0 to {MOST_MULTIPLIER:g}, whole multiples of "
            "2^-22, got others"
        )
    results = (torch.stack([low, high]) * multiplier).round() + zero_out
    if results.abs().max() >= RESULT_LIMIT:
        raise ValueError(
            f"{op}: expected {name} sums times their multiplier below 2^15 whatever the inputs, "
            f"got up to {results.abs().max():.0f}"
        )


def check_scales(op: str, *scales: float) -> None:
    """Raises ValueError unless all can be scales."""
    # Their inverses are finite float32 numbers, too.
    if not all(2.0**-100 < scale < 2.0**100 for scale in scales):
        raise ValueError(f"{op}: expected positive scales, got {', '.join(map(str, scales))}")


def pack_array(*values: float) -> Weights:
    """The section of an array, as `pack` takes it."""
    numbers = torch.tensor(values, dtype=torch.float32)
    return numbers.new_empty(len(values), 0), numbers


def pack_scales(*values: float) -> Weights:
    """The section of the scales, which is first."""
    return pack_array(*values, *[0.0] * (PANEL - len(values)))


def pack_layer(
    layer: Int8Layer, *, zero_out: int, zero_in: int = 0, depthwise: bool = False
) -> Tensor:
    """The bytes of a section.

    Args:
        layer: one that `check_layer` lets pass.
        zero_out: zero point of the outputs.
        zero_in: zero point that inputs have when they are multiplied: 0 if it is taken off before.
        depthwise: whether inputs are taps of one channel.
    """
    weight = layer.weight.detach().flatten(1)
    sums = weight.sum(1, dtype=torch.int32)
    multiplier = layer.multiplier.double()
    offset = (_MAGIC - _MAGIC * multiplier + zero_out).float()
    bias = _MAGIC_BITS + layer.bias - zero_in * sums
    missing = -len(weight) % PANEL
    arrays = [
        F.pad(bias, (0, missing), value=_MAGIC_BITS),
        F.pad(layer.multiplier, (0, missing)).view(torch.int32),
        F.pad(offset, (0, missing), value=_MAGIC + zero_out).view(torch.int32),
        F.pad(sums, (0, missing)),
    ]
    group = 1 if depthwise else GROUP
    padded = F.pad(weight, (0, -weight.shape[1] % group, 0, missing))
    grouped = padded.view(-1, PANEL, padded.shape[1] // group, group).transpose(1, 2)
    panels = [torch.stack(arrays).view(INT8_ARRAYS, -1, PANEL).transpose(0, 1).flatten(1)]
    parts = [*panels, grouped.flatten(1).contiguous()]
    return torch.cat([part.contiguous().view(torch.uint8) for part in parts], 1).flatten()


def unpack_layer(section: Section, data: Tensor, zero_in: int = 0) -> Int8Layer:
    """The layer of a section's bytes, its weight [outputs, inputs]."""
    panels = data.view(section.panels, -1)
    arrays, weights = panels.split([INT8_ARRAYS * 4 * PANEL, PANEL * section.rows], 1)
    numbers = arrays.contiguous().view(torch.int32).view(-1, INT8_ARRAYS, PANEL).transpose(0, 1)
    bias, multiplier, _, sums = numbers.reshape(INT8_ARRAYS, -1)[:, : section.outputs]
    group = 1 if section.depthwise else GROUP
    grouped = weights.contiguous().view(torch.int8).view(section.panels, -1, PANEL, group)
    weight = grouped.transpose(1, 2).reshape(-1, section.rows)[: section.outputs, : section.inputs]
    bias = bias - _MAGIC_BITS + zero_in * sums
    return Int8Layer(weight.contiguous(), bias, multiplier.contiguous().view(torch.float32))


def read_sections(header: Header, packed: Tensor) -> tuple[Tensor, list[tuple[Section, Tensor]]]:
    """The scales of int8 packed weights, and the other sections with their bytes."""
    (_, scales), *others = zip(
        (section for section, _ in header.sections()), section_bytes(header, packed), strict=True
    )
    return scales.view(torch.float32), others


def scales(packed: Tensor) -> tuple[Tensor, Tensor]:
    """The scales of input and output in int8 packed weights; those of a stem's input mean nothing.

    Reads no header, so that it can be traced.
    """
    numbers = packed[HEADER_BYTES : HEADER_BYTES + 8].view(torch.float32)
    return numbers[0], numbers[1]


def coarse_scale(packed: Tensor) -> Tensor:
    """The scale of the second of two inputs, likewise."""
    return packed[HEADER_BYTES + 12 : HEADER_BYTES + 16].view(torch.float32)[0]


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor, *, stride: int = 1, padding: int = 0, groups: int = 1
) -> Tensor:
    """Exact sums, as floating-point numbers, of int8 weights and inputs less their zero point."""
    taps = weight[0].numel()
    # Every part of a sum is exact while it is below 2^24.
    fits = taps * (MOST - LEAST) * MOST < _EXACT_IN_FLOAT32
    dtype = torch.float32 if fits else torch.float64
    sums = F.conv2d(x.to(dtype), weight.to(dtype), stride=stride, padding=padding, groups=groups)
    return sums + bias.to(dtype)[:, None, None]


def pointwise(x: Tensor, layer: Int8Layer) -> Tensor:
    """The sums of an unpacked 1x1 convolution."""
    return convolve(x, layer.weight[:, :, None, None], layer.bias)


def depthwise(x: Tensor, layer: Int8Layer, stride: int = 1) -> Tensor:
    """The sums of an unpacked depthwise convolution of a square kernel."""
    size = math.isqrt(layer.weight.shape[1])
    weight = layer.weight.unflatten(1, (1, size, size))
    return convolve(
        x, weight, layer.bias, stride=stride, padding=size // 2, groups=len(layer.weight)
    )


def floats(sums: Tensor, multiplier: Tensor) -> Tensor:
    """The float32 map of sums."""
    return sums.float() * multiplier[:, None, None]


def ramp(x: Tensor) -> Tensor:
    """Six times h_sigmoid; what it multiplies has taken up the sixth."""
    return (x + 3).clamp(0, 6)


def gated(local: Tensor, coarse: Tensor, of_local: Int8Layer, of_coarse: Int8Layer) -> Tensor:
    """floats(local) * resize(ramp(floats(coarse))), bilinear."""
    gate = ramp(floats(pointwise(coarse, of_coarse), of_coarse.multiplier))
    gate = F.interpolate(gate, size=local.shape[-2:], mode="bilinear", align_corners=False)
    return floats(pointwise(local, of_local), of_local.multiplier) * gate


def requantize(
    sums: Tensor, multiplier: Tensor, zero: int, residual: Tensor | None = None
) -> Tensor:
    """The int8 map of sums; a residual is added, quantized but for the clamp."""
    q = (sums.double() * multiplier.double()[:, None, None]).round_() + zero
    if residual is not None:
        q += residual
    return q.clamp_(LEAST, MOST).to(torch.int8)


def scaled(q: Tensor, ratio: int) -> Tensor:
    """Quantized numbers, less their zero point, times ratio / RATIO_ONE; halves go up."""
    return (q.int() * 8 * ratio + (1 << 14)) >> 15
