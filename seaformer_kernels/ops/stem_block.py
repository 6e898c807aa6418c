"""The stem and the block behind it in one pass."""

from __future__ import annotations

import torch
from torch import Tensor

from seaformer_kernels.ops import _maps
from seaformer_kernels.ops._library import register
from seaformer_kernels.ops._packed import (
    EXPANDS,
    HEADER_BYTES,
    MAX_CHANNELS,
    Header,
    Kind,
    check_buffer,
    read_header,
)
from seaformer_kernels.ops.inverted_residual import check_geometry
from seaformer_kernels.ops.inverted_residual import plain as plain_block
from seaformer_kernels.ops.stem import header_of
from seaformer_kernels.ops.stem import plain as plain_stem


def _split(op: str, packed: Tensor, stem_channels: int) -> tuple[Tensor, Tensor]:
    """The packed weights of the stem and of the block."""
    check_buffer(op, packed)
    if not 0 < stem_channels <= MAX_CHANNELS:
        raise ValueError(
            f"{op}: expected stem_channels from 1 to {MAX_CHANNELS}, got {stem_channels}"
        )
    first = header_of(stem_channels).byte_length()
    if packed.shape[0] < first + HEADER_BYTES:
        raise ValueError(
            f"{op}: expected packed weights of at least {first + HEADER_BYTES} bytes, got "
            f"{packed.shape[0]}"
        )
    return packed[:first], packed[first:]


def _check_block(op: str, header: Header, stem_channels: int) -> None:
    if header.flags & EXPANDS or header.in_channels != stem_channels:
        raise ValueError(
            f"{op}: expected packed weights of a block without expansion of {stem_channels} "
            f"channels, got one of {header.in_channels}"
            f"{' that expands' if header.flags & EXPANDS else ''}"
        )


def _fake(
    image: Tensor,
    packed: Tensor,
    stem_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int,
    residual: bool,
) -> Tensor:
    _maps.check_image("stem_block", image)
    _maps.check_positive("stem_block", "out_channels", out_channels)
    _split("stem_block", packed, stem_channels)
    check_geometry(
        "stem_block", stem_channels, out_channels, kernel_size, stride, residual=residual
    )
    batch, _, *sizes = image.shape
    height, width = (((size + 1) // 2 - 1) // stride + 1 for size in sizes)
    return _maps.empty_map(image, batch, out_channels, height, width)


def _plain(
    image: Tensor,
    packed: Tensor,
    stem_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int,
    residual: bool,
) -> Tensor:
    op = "stem_block"
    stem, block = _split(op, packed, stem_channels)
    x = plain_stem(image, stem, stem_channels, op)
    _check_block(op, read_header(op, Kind.INVERTED_RESIDUAL, block), stem_channels)
    return plain_block(x, block, out_channels, kernel_size, stride, residual, op)


_stem_block = register(
    "stem_block(Tensor image, Tensor packed, int stem_channels, int out_channels, "
    "int kernel_size, int stride, bool residual) -> Tensor",
    plain=_plain,
    fake=_fake,
    differentiable_output=True,
)


def pack_stem_block(stem: Tensor, block: Tensor) -> Tensor:
    """Packed weights for `stem_block`.

    Args:
        stem: from `pack_stem`.
        block: from `pack_inverted_residual`, without expansion, of the stem's output channels.

    Returns:
        A uint8 tensor, the same for every instruction set: one behind the other.

    Raises:
        ValueError: one is something else, or they do not fit together.
    """
    op = "pack_stem_block"
    for packed in (stem, block):
        check_buffer(op, packed)
    channels = read_header(op, Kind.STEM, stem).out_channels
    _check_block(op, read_header(op, Kind.INVERTED_RESIDUAL, block), channels)
    return torch.cat([stem, block])


def split_stem_block(packed: Tensor, stem_channels: int) -> tuple[Tensor, Tensor]:
    """What `pack_stem_block` was given: the packed weights of the stem and of the block."""
    return _split("split_stem_block", packed, stem_channels)


def stem_block(
    image: Tensor,
    packed: Tensor,
    stem_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    residual: bool = False,
) -> Tensor:
    """`stem`, then `inverted_residual` without expansion, without storing the map between them.

    On the CPU a fused kernel does it, with equal results; elsewhere plain PyTorch. There is no
    gradient.

    Args:
        image: [B, 3, H, W], as of `stem`.
        packed: from `pack_stem_block`.
        stem_channels, out_channels, kernel_size, stride: as packed.
        residual: add the stem's output, which needs stride 1 and equal widths.

    Returns:
        float32 [B, out_channels, ceil(ceil(H / 2) / stride), ceil(ceil(W / 2) / stride)],
        channels_last.

    Raises:
        TypeError: an argument has a wrong type, or image is neither float32 nor uint8.
        ValueError: a shape or number is wrong, or packed is not for this call.
        RuntimeError: image requires grad, and grad mode is on.
    """
    numbers = {
        "stem_channels": stem_channels,
        "out_channels": out_channels,
        "kernel_size": kernel_size,
        "stride": stride,
    }
    _maps.check_image_call("stem_block", image, {"packed": packed}, **numbers)
    return _stem_block(image, packed, *numbers.values(), bool(residual))
