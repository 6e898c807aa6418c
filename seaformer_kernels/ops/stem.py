"""The convolution that opens the network, straight from images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from seaformer_kernels.ops import _int8, _maps
from seaformer_kernels.ops._activation import Activation, activate
from seaformer_kernels.ops._element import WITH_INT8, code_of, name_of
from seaformer_kernels.ops._int8 import Int8Layer
from seaformer_kernels.ops._library import register
from seaformer_kernels.ops._packed import (
    NORMALIZES,
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

_NOTHING = (0.0, 0.0, 0.0, 1.0, 1.0, 1.0)  # means and inverse standard deviations


def header_of(
    out_channels: int,
    *,
    normalizes: bool = False,
    element: int = 0,
    activation: int = Activation.RELU,
) -> Header:
    """The header of a stem's packed weights."""
    return Header(
        Kind.STEM,
        in_channels=3,
        out_channels=out_channels,
        kernel_size=3,
        stride=2,
        flags=NORMALIZES if normalizes else 0,
        element=element,
        output_activation=activation,
    )


def normalizes(header: Header, packed: Tensor) -> bool:
    """Whether images are raw values, which a stem's packed weights normalise.

    Weights packed before there was a flag for it tell by their numbers.
    """
    if header.flags & NORMALIZES or header.dtype == torch.int8:
        return bool(header.flags & NORMALIZES)
    (_, (_, normalisation)) = unpack(header, packed)
    return tuple(normalisation.tolist()) != _NOTHING


def check_dtype(op: str, header: Header, dtype: torch.dtype | None) -> None:
    """Raises ValueError unless a stem's packed weights write what the call says they do."""
    if header.dtype != (dtype or torch.float32):
        raise ValueError(
            f"{op}: expected dtype {name_of(header.dtype)}, as the packed weights write it, got "
            f"{name_of(dtype or torch.float32)}"
        )


def _fake(
    image: Tensor, packed: Tensor, out_channels: int, dtype: torch.dtype | None = None
) -> Tensor:
    _maps.check_image("stem", image)
    element = code_of("stem", dtype or torch.float32, WITH_INT8)
    _maps.check_positive("stem", "out_channels", out_channels)
    check_buffer("stem", packed)
    check_length("stem", header_of(out_channels, element=element), packed)
    batch, _, height, width = image.shape
    sizes = (batch, out_channels, (height + 1) // 2, (width + 1) // 2)
    return _maps.empty_map(image, *sizes, dtype=dtype or torch.float32)


def plain(
    image: Tensor,
    packed: Tensor,
    out_channels: int,
    dtype: torch.dtype | None = None,
    op: str = "stem",
) -> Tensor:
    """The op in plain PyTorch; messages begin with `op`."""
    header = read_header(op, Kind.STEM, packed, in_channels=3, out_channels=out_channels)
    check_dtype(op, header, dtype)
    if image.dtype == torch.uint8 and not normalizes(header, packed):
        raise ValueError(
            f"{op}: expected a float32 image, as the packed weights have no mean and std, got a "
            "uint8 one"
        )
    if header.dtype == torch.int8:
        return _plain_int8(image, header, packed)
    (weight, bias), (_, normalisation) = unpack(header, packed)
    mean, inverse_std = normalisation.view(2, 3, 1, 1)
    x = (image.float() - mean) * inverse_std
    x = F.conv2d(x, weight.unflatten(1, (3, 3, 3)), bias, stride=2, padding=1)
    return _maps.channels_last(activate(x, header.output_activation), header.dtype)


def _plain_int8(image: Tensor, header: Header, packed: Tensor) -> Tensor:
    _, ((_, normalisation), section) = _int8.read_sections(header, packed)
    mean, inverse_std = normalisation.view(torch.float32)[:6].view(2, 3, 1, 1)
    x = image.float()
    if not header.flags & NORMALIZES:
        x = x * (1 / inverse_std) + mean
    x = x.nan_to_num(0.0, 255.0, 0.0).round().clamp(0, 255)
    border = mean.round().clamp(0, 255)
    x = F.pad(x - border, (1, 1, 1, 1)) + border
    layer = _int8.unpack_layer(*section, _int8.LEAST)
    # By taps, channels last.
    weight = layer.weight.unflatten(1, (3, 3, 3)).permute(0, 3, 1, 2)
    sums = _int8.convolve(x, weight, layer.bias, stride=2)
    return _maps.channels_last(_int8.requantize(sums, layer.multiplier, _int8.LEAST))


_stem = register(
    "stem(Tensor image, Tensor packed, int out_channels, ScalarType? dtype=None) -> Tensor",
    plain=plain,
    fake=_fake,
    differentiable_output=True,
)


def pack_stem(
    weights: Weights,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    activation: str = "relu",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Packed weights for `stem`.

    Args:
        weights: float32 weight [out, 3, 3, 3] and bias [out], batch norm folded in.
        mean, std: subtracted from each channel of the image, and then divided by; both or neither.
        activation: one of `ACTIVATIONS`, or a leaky ReLU such as "leaky_relu(0.1)",
            after the convolution.
        dtype: of the map that it writes; its weights are float32 always.

    Returns:
        A uint8 tensor, the same for every instruction set.

    Raises:
        TypeError: weights are not float32 tensors.
        ValueError: a shape does not fit, mean and std are not three numbers, std positive, or the
            activation is none of these.
    """
    element = code_of("pack_stem", dtype)
    check_weights("pack_stem", "stem", weights, (None, 3, 3, 3))
    given = mean is not None or std is not None
    mean, std = (0.0, 0.0, 0.0) if mean is None else mean, (1.0, 1.0, 1.0) if std is None else std
    normalisation = _int8.pack_array(*_normalisation("pack_stem", mean, std))
    code = Activation.of("pack_stem", activation)
    header = header_of(len(weights[0]), normalizes=given, element=element, activation=code)
    return pack(header, weights, normalisation)


def pack_int8_stem(
    layer: Int8Layer,
    *,
    output_scale: float,
    mean: Sequence[float],
    std: Sequence[float],
    normalizes: bool = True,
) -> Tensor:
    """Packed weights for `stem` that writes an int8 map.

    Its inputs are pixels rounded to whole numbers in 0..255.

    Args:
        layer: weight [out, 3, 3, 3] for pixels, mean and std folded in.
        output_scale: of the map.
        mean, std: of R, G and B in the range 0..255.
        normalizes: whether images are raw RGB values; otherwise they have been normalised with mean
            and std, and become pixels again.

    Returns:
        A uint8 tensor, the same for every instruction set.

    Raises:
        TypeError: the layer is not of tensors of its types.
        ValueError: a shape or number does not fit, or the layer is beyond the limits.
    """
    op = "pack_int8_stem"
    _int8.check_layer(op, "stem", layer, (None, 3, 3, 3), _int8.LEAST, _int8.LEAST)
    _int8.check_scales(op, output_scale)
    normalisation = _normalisation(op, mean, std)
    element = code_of(op, torch.int8, WITH_INT8)
    header = header_of(len(layer.weight), normalizes=normalizes, element=element)
    by_taps = layer._replace(weight=layer.weight.permute(0, 2, 3, 1))
    section = _int8.pack_layer(by_taps, zero_in=_int8.LEAST, zero_out=_int8.LEAST)
    scales = _int8.pack_scales(1.0, output_scale)
    return pack(header, scales, _int8.pack_array(*normalisation), section)


def _normalisation(op: str, mean: Sequence[float], std: Sequence[float]) -> list[float]:
    """Means and inverse standard deviations."""
    if len(mean) != 3 or len(std) != 3 or not all(value > 0 for value in std):
        raise ValueError(
            f"{op}: expected mean and std as three numbers each, std positive, got "
            f"{list(mean)} and {list(std)}"
        )
    return [*mean, *(1 / value for value in std)]


def stem(
    image: Tensor, packed: Tensor, out_channels: int, dtype: torch.dtype = torch.float32
) -> Tensor:
    """3x3 convolution with stride 2 and padding 1, batch norm and activation, of images.

    The first layer of SeaFormer's shared stem, there with ReLU. Pixels first become
    (value - mean) * (1 / std) with what `pack_stem` was given, and are zero-padded after that. On
    the CPU a fused kernel does it, elsewhere plain PyTorch. There is no gradient.

    Args:
        image: [B, 3, H, W], float32, or uint8 if there is a mean and std, any batch, H and W from
            1, any strides; a channels_last view of RGB pixels is read where it lies. One of
            float16 is converted to float32 first.
        packed: from `pack_stem` or, for an int8 map, `pack_int8_stem`.
        out_channels: width of the output, as packed.
        dtype: of the output, as packed.

    Returns:
        [B, out_channels, ceil(H / 2), ceil(W / 2)], channels_last.

    Raises:
        TypeError: an argument has a wrong type, or image is none of float32, float16, bfloat16
            and uint8.
        ValueError: a shape is wrong, or packed is not for this call.
        RuntimeError: image requires grad, and grad mode is on.
    """
    _maps.check_image_call("stem", image, {"packed": packed}, out_channels=out_channels)
    return _stem(image, packed, out_channels, dtype)
