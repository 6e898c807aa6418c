"""Global average pooling and a linear classifier."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seaformer_kernels.ops import _maps
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


def _fake(x: Tensor, packed: Tensor, num_classes: int) -> Tensor:
    _maps.check_map("classification_head", "x", x)
    _maps.check_positive("classification_head", "num_classes", num_classes)
    check_buffer("classification_head", packed)
    header = Header(
        Kind.CLASSIFICATION_HEAD,
        x.shape[1],
        out_channels=num_classes,
        element=code_of("classification_head", x.dtype),
    )
    check_length("classification_head", header, packed)
    return x.new_empty((x.shape[0], num_classes))


def _plain(x: Tensor, packed: Tensor, num_classes: int) -> Tensor:
    header = read_header(
        "classification_head",
        Kind.CLASSIFICATION_HEAD,
        packed,
        x.dtype,
        in_channels=x.shape[1],
        out_channels=num_classes,
    )
    ((weight, bias),) = unpack(header, packed)
    return F.linear(x.float().mean((2, 3)), weight, bias).to(x.dtype)


_classification_head = register(
    "classification_head(Tensor x, Tensor packed, int num_classes) -> Tensor",
    plain=_plain,
    fake=_fake,
    differentiable_output=True,
)


def pack_classification_head(weights: Weights, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Packed weights for `classification_head`.

    Args:
        weights: float32 weight [num_classes, channels] and bias [num_classes].
        dtype: of the maps, and of the weights as they are stored; float32, float16 or bfloat16.

    Returns:
        A uint8 tensor, the same for every instruction set.

    Raises:
        TypeError: weights are not float32 tensors.
        ValueError: a shape does not fit, or dtype cannot hold a weight.
    """
    element = code_of("pack_classification_head", dtype)
    check_weights("pack_classification_head", "classifier", weights, (None, None))
    classes, channels = weights[0].shape
    header = Header(Kind.CLASSIFICATION_HEAD, channels, out_channels=classes, element=element)
    return pack(header, weights)


def classification_head(x: Tensor, packed: Tensor, num_classes: int) -> Tensor:
    """Mean over all pixels, then a linear classifier.

    The end of SeaFormer for classification. On the CPU a fused kernel does it, elsewhere plain
    PyTorch. There is no gradient.

    Args:
        x: [B, channels, H, W] of the packed weights' type, any batch, H and W from 1; converted
            once if not channels_last.
        packed: from `pack_classification_head`.
        num_classes: as packed.

    Returns:
        Logits [B, num_classes] of the type of x.

    Raises:
        TypeError: an argument has a wrong type, or x is of a type that no weights have.
        ValueError: a shape is wrong, or packed is not for this call.
        RuntimeError: x requires grad, and grad mode is on.
    """
    _maps.check_call("classification_head", x, packed, num_classes=num_classes)
    return _classification_head(x, packed, num_classes)
