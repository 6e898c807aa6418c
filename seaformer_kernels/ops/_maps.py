"""What the ops on feature maps check and make alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from seaformer_kernels.ops._element import ELEMENTS, WITH_INT8, listed
from seaformer_kernels.ops._packed import (
    Weights,
)
from seaformer_kernels.ops._window import Window

_IMAGES = (*ELEMENTS, torch.uint8)


def check_map(op: str, name: str, x: Tensor, dtypes: Sequence[torch.dtype] = ELEMENTS) -> None:
    """Raises ValueError unless x is a map [batch, channels, height, width] of one of the types."""
    check_rank(op, name, x)
    if x.dtype not in dtypes:
        raise ValueError(f"{op}: expected a {listed(dtypes)} {name}, got {x.dtype}")
    check_filled(op, name, x)


def check_rank(op: str, name: str, x: Tensor) -> None:
    """Raises ValueError unless x has the axes of a map."""
    if x.dim() != 4:
        raise ValueError(
            f"{op}: expected {name} of shape [batch, channels, height, width], got {list(x.shape)}"
        )


def check_filled(op: str, name: str, x: Tensor) -> None:
    """Raises ValueError if an axis of the map x, other than the batch, is empty."""
    if not (x.shape[1] > 0 and x.shape[2] > 0 and x.shape[3] > 0):
        raise ValueError(
            f"{op}: expected {name} with at least one channel, row and column, got {list(x.shape)}"
        )


def check_image(op: str, image: Tensor) -> None:
    """Raises ValueError unless image is [batch, 3, height, width] of a type that stems read."""
    if image.dim() != 4 or image.shape[1] != 3:
        raise ValueError(
            f"{op}: expected image of shape [batch, 3, height, width], got {list(image.shape)}"
        )
    if image.dtype not in _IMAGES:
        raise ValueError(f"{op}: expected a {listed(_IMAGES)} image, got {image.dtype}")
    check_filled(op, "image", image)


def check_pair(op: str, local: Tensor, coarse: Tensor) -> None:
    """Raises ValueError unless both maps hold as many images, of one type."""
    if local.dtype != coarse.dtype:
        raise ValueError(
            f"{op}: expected local and coarse maps of one type, got {local.dtype} and "
            f"{coarse.dtype}"
        )
    if local.shape[0] != coarse.shape[0]:
        raise ValueError(
            f"{op}: expected local and coarse maps of one batch size, got {local.shape[0]} and "
            f"{coarse.shape[0]}"
        )


def check_positive(op: str, name: str, value: int) -> None:
    """Raises ValueError unless value is positive."""
    if value < 1:
        raise ValueError(f"{op}: expected {name} to be positive, got {value}")


def check_types(op: str, tensors: Mapping[str, object], integers: Mapping[str, object]) -> None:
    """Raises TypeError unless all are tensors, and integers, as they are named."""
    for name, value in tensors.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{op}: expected {name} as a tensor, got {type(value).__name__}")
    for name, value in integers.items():
        if not isinstance(value, int):
            raise TypeError(f"{op}: expected {name} as an integer, got {type(value).__name__}")


def check_call(
    op: str,
    x: Tensor,
    packed: Tensor,
    dtypes: Sequence[torch.dtype] = ELEMENTS,
    **integers: int,
) -> None:
    """Raises TypeError unless these can be the arguments of an op on one map."""
    check_types(op, {"x": x, "packed": packed}, integers)
    if x.dtype not in dtypes:
        raise TypeError(f"{op}: expected a {listed(dtypes)} x, got {x.dtype}")


def check_image_call(
    op: str, image: Tensor, weights: Mapping[str, object], **integers: int
) -> None:
    """Raises TypeError unless these can be the arguments of an op on images; weights by name."""
    check_types(op, {"image": image, **weights}, integers)
    if image.dtype not in _IMAGES:
        raise TypeError(f"{op}: expected a {listed(_IMAGES)} image, got {image.dtype}")


def check_gate_call(
    op: str, local: Tensor, coarse: Tensor, packed: Tensor, **integers: int
) -> None:
    """Raises TypeError unless these can be the arguments of an op on a map and a coarser one."""
    check_types(op, {"local": local, "coarse": coarse, "packed": packed}, integers)
    if local.dtype not in WITH_INT8 or coarse.dtype not in WITH_INT8:
        raise TypeError(
            f"{op}: expected {listed(WITH_INT8)} maps, got {local.dtype}, {coarse.dtype}"
        )


def check_floating(op: str, tensors: Mapping[str, Tensor | None]) -> None:
    """Raises TypeError unless all tensors, None apart, hold floating-point numbers."""
    for name, value in tensors.items():
        if value is not None and not value.is_floating_point():
            raise TypeError(f"{op}: expected a floating-point {name}, got {value.dtype}")


def check_one_dtype(op: str, *tensors: Tensor | None) -> None:
    """Raises ValueError unless all tensors, None apart, have one floating-point dtype."""
    dtypes = dict.fromkeys(x.dtype for x in tensors if x is not None)
    if len(dtypes) > 1 or not next(iter(dtypes)).is_floating_point:
        raise ValueError(
            f"{op}: expected tensors of one floating-point dtype, got "
            f"{' and '.join(map(str, dtypes))}"
        )


def empty_map(like: Tensor, *sizes: int, dtype: torch.dtype | None = None) -> Tensor:
    """An uninitialised channels_last map, of the type of another unless one is given."""
    dtype = dtype or like.dtype
    return torch.empty(sizes, dtype=dtype, device=like.device, memory_format=torch.channels_last)


def channels_last(x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """A copy of x with the strides of `empty_map`, also where an axis of size 1 leaves a choice."""
    return empty_map(x, *x.shape, dtype=dtype).copy_(x)


def pointwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """1x1 convolution with an unpacked weight [outputs, inputs]."""
    return F.conv2d(x, weight[:, :, None, None], bias)


def depthwise(
    x: Tensor, weight: Tensor, bias: Tensor, stride: int = 1, *, pads_same: bool = False
) -> Tensor:
    """Depthwise convolution of a square kernel with an unpacked weight [channels, taps].

    It is padded on both sides, or as TensorFlow's "same".
    """
    size = math.isqrt(weight.shape[1])
    weight = weight.unflatten(1, (1, size, size))
    padding = () if pads_same else (size // 2, size // 2)
    padded = Window((size, size), stride, padding).pad(x)
    return F.conv2d(padded, weight, bias, stride, groups=len(bias))


def gated(local: Tensor, coarse: Tensor, of_local: Weights, of_coarse: Weights) -> Tensor:
    """pointwise(local) * resize(h_sigmoid(pointwise(coarse))), bilinear."""
    gate = F.hardsigmoid(pointwise(coarse, *of_coarse))
    gate = F.interpolate(gate, size=local.shape[-2:], mode="bilinear", align_corners=False)
    return pointwise(local, *of_local) * gate
