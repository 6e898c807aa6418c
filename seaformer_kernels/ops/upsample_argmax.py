"""Labels straight from low-resolution class logits."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from seaformer_kernels.ops._element import ELEMENTS, NAMES
from seaformer_kernels.ops._label_size import Size, check_size, is_traced, read_size
from seaformer_kernels.ops._library import register
from seaformer_kernels.reference import upsample_argmax as reference


def _check(logits: Tensor, size: Sequence[int]) -> None:
    if logits.dim() != 4:
        raise ValueError(
            "upsample_argmax: expected logits of shape [batch, classes, height, width], got "
            f"{list(logits.shape)}"
        )
    if not (logits.shape[1] > 0 and logits.shape[2] > 0 and logits.shape[3] > 0):
        raise ValueError(
            "upsample_argmax: expected logits with at least one class, row and column, got "
            f"{list(logits.shape)}"
        )
    check_size("upsample_argmax", size)


def _fake(logits: Tensor, size: Sequence[int], align_corners: bool = False) -> Tensor:
    _check(logits, size)
    if logits.dtype not in ELEMENTS:
        raise ValueError(f"upsample_argmax: expected {NAMES} logits, got {logits.dtype}")
    return logits.new_empty(
        (logits.shape[0], size[0], size[1]), dtype=reference.label_dtype(logits.shape[1])
    )


_upsample_argmax = register(
    "upsample_argmax(Tensor logits, SymInt[2] size, bool align_corners=False) -> Tensor",
    plain=reference.upsample_argmax,
    fake=_fake,
    standard=True,
)


def upsample_argmax(logits: Tensor, size: Size, align_corners: bool = False) -> Tensor:
    """The label of every pixel: bilinear resize of the logits, then argmax over classes.

    Equals ``interpolate(logits, size, mode="bilinear", align_corners=align_corners).argmax(1)``
    wherever the two largest resized logits differ by more than float32 rounding, without storing
    the resized logits: 157 MB for 150 classes at 512x512. Exact ties go to the lowest class, a NaN
    wins over numbers, and an infinity beside a zero weight counts as NaN, all as in PyTorch.

    Sizes alone say where a label looks. ``interpolate`` with a ``scale_factor`` looks where that
    says instead, unless it has ``recompute_scale_factor`` or aligns corners: the same for a factor
    that is an integer, another map where the factor times the input's size was rounded down.

    On the CPU a fused kernel does it, elsewhere plain PyTorch; so it is in an export to ONNX, and
    in a trace of torch.jit with sizes taken from shapes. This is the last step of the light
    segmentation head (SeaFormer, section 3.3: logits at 1/8 of the image).

    Args:
        logits: float32, float16 or bfloat16 [B, C, h, w], any batch, any C, h, w from 1, any
            strides.
            channels_last is read where it lies; rows of other layouts are copied, two at a time.
        size: (H, W) of the labels, each from 1: any scale up or down, one for each axis. All that
            `interpolate` takes: integers, symbolic ones, 0-d tensors, or one of them for a square.
        align_corners: whether the corner pixels' centres are those of the logits, as in
            `interpolate`, or their edges.

    Returns:
        Labels [B, H, W], contiguous; uint8 for at most 256 classes, else int32. Labels have no
        gradient, whether or not the logits do.

    Raises:
        TypeError: logits is not a tensor, of another type, size is no integers, or align_corners
            no bool.
        ValueError: wrong rank, an empty axis, or a size that is not two positive integers.
    """
    if not isinstance(logits, Tensor):
        raise TypeError(
            f"upsample_argmax: expected a tensor of logits, got {type(logits).__name__}"
        )
    if logits.dtype not in ELEMENTS:
        raise TypeError(f"upsample_argmax: expected {NAMES} logits, got {logits.dtype}")
    if not isinstance(align_corners, bool):
        raise TypeError(
            f"upsample_argmax: expected align_corners to be True or False, got {align_corners!r}"
        )
    sides = read_size("upsample_argmax", size)
    if is_traced(sides):
        return reference.upsample_argmax(logits, sides, align_corners)
    return _upsample_argmax(logits, sides, align_corners)
