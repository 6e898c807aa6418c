"""The last fusion and the classifier of the light segmentation head in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from seaformer_kernels.ops import _int8, _maps
from seaformer_kernels.ops._element import WITH_INT8, code_of
from seaformer_kernels.ops._int8 import Int8Layer
from seaformer_kernels.ops._label_size import Size, check_size, is_traced, read_size
from seaformer_kernels.ops._library import register
from seaformer_kernels.ops._packed import (
    Header,
    Kind,
    Weights,
    check_buffer,
    check_weights,
    pack,
    read_header,
    unpack,
)
from seaformer_kernels.reference.upsample_argmax import label_dtype, upsample_argmax


def _fake(local: Tensor, coarse: Tensor, packed: Tensor, num_classes: int) -> Tensor:
    _maps.check_map("segmentation_head", "local", local, WITH_INT8)
    _maps.check_map("segmentation_head", "coarse", coarse, WITH_INT8)
    _maps.check_pair("segmentation_head", local, coarse)
    _maps.check_positive("segmentation_head", "num_classes", num_classes)
    check_buffer("segmentation_head", packed)
    batch, _, height, width = local.shape
    dtype = torch.float32 if local.dtype == torch.int8 else local.dtype
    return _maps.empty_map(local, batch, num_classes, height, width, dtype=dtype)


def _plain(local: Tensor, coarse: Tensor, packed: Tensor, num_classes: int) -> Tensor:
    header = read_header(
        "segmentation_head",
        Kind.SEGMENTATION_HEAD,
        packed,
        local.dtype,
        in_channels=local.shape[1],
        hidden_channels=coarse.shape[1],
        classes=num_classes,
    )
    if header.dtype == torch.int8:
        return _plain_int8(local, coarse, header, packed)
    *gate, (_, shift), classifier = unpack(header, packed)
    gated = _maps.gated(local.float(), coarse.float(), *gate)
    fused = F.relu(gated + shift[:, None, None])
    return _maps.channels_last(_maps.pointwise(fused, *classifier), local.dtype)


def _plain_int8(local: Tensor, coarse: Tensor, header: Header, packed: Tensor) -> Tensor:
    _, (*gate, (_, shift), last) = _int8.read_sections(header, packed)
    gated = _int8.gated(local, coarse, *(_int8.unpack_layer(*section) for section in gate))
    shifts = shift.view(torch.float32)[: header.out_channels, None, None]
    fused = _int8.quantize(F.relu(gated + shifts), 1.0, _int8.LEAST).int() - _int8.LEAST
    classifier = _int8.unpack_layer(*last, _int8.LEAST)
    logits = _int8.floats(_int8.pointwise(fused, classifier), classifier.multiplier)
    return _maps.channels_last(logits)


_segmentation_head = register(
    "segmentation_head(Tensor local, Tensor coarse, Tensor packed, int num_classes) -> Tensor",
    plain=_plain,
    fake=_fake,
    differentiable_output=True,
)


def _fake_labels(
    local: Tensor, coarse: Tensor, packed: Tensor, num_classes: int, size: Sequence[int]
) -> Tensor:
    logits = _fake(local, coarse, packed, num_classes)
    check_size("segmentation_labels", size)
    return logits.new_empty((logits.shape[0], *size), dtype=label_dtype(num_classes))


def _plain_labels(
    local: Tensor, coarse: Tensor, packed: Tensor, num_classes: int, size: Sequence[int]
) -> Tensor:
    return upsample_argmax(_plain(local, coarse, packed, num_classes), size)


_segmentation_labels = register(
    "segmentation_labels(Tensor local, Tensor coarse, Tensor packed, int num_classes, "
    "SymInt[2] size) -> Tensor",
    plain=_plain_labels,
    fake=_fake_labels,
)


def pack_segmentation_head(
    local: Weights,
    coarse: Weights,
    shift: Tensor,
    classifier: Weights,
    *,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Packed weights for `segmentation_head`.

    Args:
        local: float32 weight [fused, local, 1, 1] and bias [fused], batch norm and the scale that
            follows the gate folded in.
        coarse: weight [fused, coarse, 1, 1] and bias, batch norm folded in.
        shift: float32 [fused], added behind the gate.
        classifier: weight [num_classes, fused, 1, 1] and bias.
        dtype: of the maps, and of the weights as they are stored; float32, float16 or bfloat16.

    Returns:
        A uint8 tensor, the same for every instruction set.

    Raises:
        TypeError: weights are not float32 tensors.
        ValueError: a shape does not fit, or dtype cannot hold a weight.
    """
    op = "pack_segmentation_head"
    element = code_of(op, dtype)
    check_weights(op, "local", local, (None, None, 1, 1))
    fused = len(local[0])
    check_weights(op, "coarse", coarse, (fused, None, 1, 1))
    check_weights(op, "classifier", classifier, (None, fused, 1, 1))
    _check_shift(op, shift, fused)
    header = _header(local[0], coarse[0], classifier[0], element)
    return pack(header, local, coarse, (shift.new_empty(fused, 0), shift), classifier)


def pack_int8_segmentation_head(
    local: Int8Layer,
    coarse: Int8Layer,
    shift: Tensor,
    classifier: Int8Layer,
    *,
    local_scale: float,
    coarse_scale: float,
) -> Tensor:
    """Packed weights for `segmentation_head` of int8 maps, whose zero points are 0.

    Sums times multipliers are float32, and so is what follows, up to the fused map; that is int8
    again, with a zero point of -128. Logits are float32.

    Args:
        local: weight [fused, local, 1, 1], the multiplier in sixths of the fused map's scale.
        coarse: weight [fused, coarse, 1, 1].
        shift: float32 [fused], in units of the fused map's scale.
        classifier: weight [num_classes, fused, 1, 1].
        local_scale, coarse_scale: of the maps.

    Returns:
        A uint8 tensor, the same for every instruction set.

    Raises:
        TypeError: layers or the shift are not of tensors of their types.
        ValueError: a shape or scale does not fit; or a layer is beyond the limits, within which
            sums are exact.
    """
    op = "pack_int8_segmentation_head"
    _int8.check_layer(op, "local", local, (None, None, 1, 1), 0, None)
    fused = len(local.weight)
    _int8.check_layer(op, "coarse", coarse, (fused, None, 1, 1), 0, None)
    _int8.check_layer(op, "classifier", classifier, (None, fused, 1, 1), _int8.LEAST, None)
    _check_shift(op, shift, fused)
    _int8.check_scales(op, local_scale, coarse_scale)
    element = code_of(op, torch.int8, WITH_INT8)
    header = _header(local.weight, coarse.weight, classifier.weight, element)
    return pack(
        header,
        _int8.pack_scales(local_scale, 1.0, 0.0, coarse_scale),
        _int8.pack_layer(local, zero_out=0),
        _int8.pack_layer(coarse, zero_out=0),
        (shift.new_empty(fused, 0), shift),
        _int8.pack_layer(classifier, zero_in=_int8.LEAST, zero_out=0),
    )


def _check_shift(op: str, shift: Tensor, fused: int) -> None:
    if not isinstance(shift, Tensor) or shift.dtype != torch.float32:
        raise TypeError(f"{op}: expected shift as a float32 tensor")
    if shift.shape != (fused,):
        raise ValueError(f"{op}: expected shift of shape [{fused}], got {list(shift.shape)}")


def _header(local: Tensor, coarse: Tensor, classifier: Tensor, element: int) -> Header:
    """The header of weights with these shapes."""
    return Header(
        Kind.SEGMENTATION_HEAD,
        in_channels=local.shape[1],
        hidden_channels=coarse.shape[1],
        out_channels=len(local),
        classes=len(classifier),
        element=element,
    )


def segmentation_head(local: Tensor, coarse: Tensor, packed: Tensor, num_classes: int) -> Tensor:
    """classifier(relu(conv1x1(local) * resize(h_sigmoid(conv1x1(coarse))) + shift)).

    What SeaFormer's light segmentation head does from its last fusion on: the fused map is not
    stored, and the depthwise 1x1 convolution behind the gate is a scale folded into the local
    weights, and a shift. The resize is bilinear with half-pixel centres. On the CPU a fused kernel
    does it, elsewhere plain PyTorch. There is no gradient.

    Args:
        local: [B, local, H, W] of the packed weights' type, any batch, H and W from 1; converted
            once if not channels_last.
        coarse: [B, coarse, h, w], likewise; any h and w from 1.
        packed: from `pack_segmentation_head` or, for int8 maps, `pack_int8_segmentation_head`.
        num_classes: as packed.

    Returns:
        Logits [B, num_classes, H, W] of the type of local, float32 for int8; channels_last.

    Raises:
        TypeError: an argument has a wrong type, or a map is of a type that no weights have.
        ValueError: a shape is wrong, or packed is not for this call.
        RuntimeError: a map requires grad, and grad mode is on.
    """
    _maps.check_gate_call("segmentation_head", local, coarse, packed, num_classes=num_classes)
    return _segmentation_head(local, coarse, packed, num_classes)


def segmentation_labels(
    local: Tensor, coarse: Tensor, packed: Tensor, num_classes: int, size: Size
) -> Tensor:
    """The labels `upsample_argmax(segmentation_head(...), size)`, in one call.

    The best class of each pixel is found while its logits are in the first-level cache.

    Args:
        local, coarse, packed, num_classes: as for `segmentation_head`.
        size: of the labels, as for `upsample_argmax`.

    Returns:
        Labels `[B, *size]`, contiguous; uint8 for at most 256 classes, else int32. They have no
        gradient.

    Raises:
        TypeError, ValueError: as `segmentation_head` and `upsample_argmax`.
    """
    _maps.check_gate_call("segmentation_labels", local, coarse, packed, num_classes=num_classes)
    sides = read_size("segmentation_labels", size)
    if is_traced(sides):
        return upsample_argmax(_segmentation_head(local, coarse, packed, num_classes), sides)
    return _segmentation_labels(local, coarse, packed, num_classes, sides)
