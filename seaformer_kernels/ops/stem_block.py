"""The stem and the block behind it in one pass."""

from __future__ import annotations

import torch
from torch import Tensor

from seaformer_kernels.ops import _int8, _maps
from seaformer_kernels.ops._element import WITH_INT8, code_of, name_of
from seaformer_kernels.ops._library import register
from seaformer_kernels.ops._packed import (
    EXPANDS,
    READS_RELU,
    Header,
    Kind,
    check_buffer,
    read_header,
)
from seaformer_kernels.ops.inverted_residual import check_geometry
from seaformer_kernels.ops.inverted_residual import plain as plain_block
from seaformer_kernels.ops.stem import plain as plain_stem


def joins(stem: Tensor, block: Tensor) -> bool:
    """Whether `stem_block` can run the stem and the inverted residual of these packed weights."""
    op = "joins"
    headers = read_header(op, Kind.STEM, stem), read_header(op, Kind.INVERTED_RESIDUAL, block)
    if not _join(*headers):
        return False
    return headers[0].dtype != torch.int8 or bool(_int8.scales(stem)[1] == _int8.scales(block)[0])


def _join(stem: Header, block: Header) -> bool:
    fits = block.in_channels == stem.out_channels and block.element == stem.element
    reads = stem.dtype != torch.int8 or bool(block.flags & READS_RELU)
    return fits and reads and not block.flags & EXPANDS and not block.squeezed_channels


def _more(block: Header) -> str:
    """What a block does that none behind a stem may, as part of a sentence."""
    if block.flags & EXPANDS:
        return " that expands"
    return " that squeezes" if block.squeezed_channels else ""


def _fake(
    image: Tensor,
    stem: Tensor,
    block: Tensor,
    out_channels: int,
    kernel_size: int,
    stride: int,
    residual: bool,
    dtype: torch.dtype | None = None,
) -> Tensor:
    op = "stem_block"
    code_of(op, dtype or torch.float32, WITH_INT8)
    _maps.check_image(op, image)
    _maps.check_positive(op, "out_channels", out_channels)
    for packed in (stem, block):
        check_buffer(op, packed)
    # Only the stem's weights tell its width.
    check_geometry(op, out_channels, out_channels, kernel_size, stride, residual=residual)
    batch, _, *sizes = image.shape
    height, width = (((size + 1) // 2 - 1) // stride + 1 for size in sizes)
    return _maps.empty_map(image, batch, out_channels, height, width, dtype=dtype or torch.float32)


def _plain(
    image: Tensor,
    stem: Tensor,
    block: Tensor,
    out_channels: int,
    kernel_size: int,
    stride: int,
    residual: bool,
    dtype: torch.dtype | None = None,
) -> Tensor:
    op = "stem_block"
    first = read_header(op, Kind.STEM, stem)
    second = read_header(op, Kind.INVERTED_RESIDUAL, block)
    if not _join(first, second):
        raise ValueError(
            f"{op}: expected packed weights of a block without expansion of {first.out_channels} "
            f"channels in {name_of(first.dtype)}, got one of {second.in_channels}"
            f"{_more(second)} in {name_of(second.dtype)}"
        )
    check_geometry(op, first.out_channels, out_channels, kernel_size, stride, residual=residual)
    x = plain_stem(image, stem, first.out_channels, dtype, op)
    return plain_block(x, block, out_channels, kernel_size, stride, residual, op)


_stem_block = register(
    "stem_block(Tensor image, Tensor stem, Tensor block, int out_channels, int kernel_size, "
    "int stride, bool residual, ScalarType? dtype=None) -> Tensor",
    plain=_plain,
    fake=_fake,
    differentiable_output=True,
)


def stem_block(
    image: Tensor,
    stem: Tensor,
    block: Tensor,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    residual: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """`stem`, then `inverted_residual` without expansion, without storing the map between them.

    On the CPU a fused kernel does it, with equal results; elsewhere plain PyTorch. There is no
    gradient.

    Args:
        image: [B, 3, H, W], as of `stem`.
        stem: from `pack_stem`.
        block: from `pack_inverted_residual`, without expansion and squeeze-and-excite, of the
            stem's output channels.
        out_channels, kernel_size, stride: of the block, as packed.
        residual: add the stem's output, which needs stride 1 and equal widths.
        dtype: of the output, as both are packed.

    Returns:
        [B, out_channels, ceil(ceil(H / 2) / stride), ceil(ceil(W / 2) / stride)],
        channels_last.

    Raises:
        TypeError: an argument has a wrong type, or image is none of float32, float16, bfloat16
            and uint8.
        ValueError: a shape or number is wrong, or the weights are not for this call.
        RuntimeError: image requires grad, and grad mode is on.
    """
    numbers = {"out_channels": out_channels, "kernel_size": kernel_size, "stride": stride}
    _maps.check_image_call("stem_block", image, {"stem": stem, "block": block}, **numbers)
    return _stem_block(image, stem, block, *numbers.values(), bool(residual), dtype)
