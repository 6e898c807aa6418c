"""The end of a segmentation head that upsamples, in one pass."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seaformer_kernels.ops import _maps
from seaformer_kernels.ops._activation import Activation, activate
from seaformer_kernels.ops._element import code_of
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

UPSAMPLING = 2


def _fake(x: Tensor, packed: Tensor, num_classes: int) -> Tensor:
    _maps.check_map("upsampling_head", "x", x)
    _maps.check_positive("upsampling_head", "num_classes", num_classes)
    check_buffer("upsampling_head", packed)
    batch, _, height, width = x.shape
    return _maps.empty_map(x, batch, num_classes, UPSAMPLING * height, UPSAMPLING * width)


def _plain(x: Tensor, packed: Tensor, num_classes: int) -> Tensor:
    header = read_header(
        "upsampling_head",
        Kind.UPSAMPLING_HEAD,
        packed,
        x.dtype,
        in_channels=x.shape[1],
        classes=num_classes,
    )
    depthwise, project, classifier = unpack(header, packed)
    size = [UPSAMPLING * side for side in x.shape[2:]]
    y = F.interpolate(x.float(), size=size, mode="bilinear", align_corners=False)
    y = activate(_maps.depthwise(y, *depthwise), header.depthwise_activation)
    y = F.relu(_maps.pointwise(y, *project))
    return _maps.channels_last(_maps.pointwise(y, *classifier), x.dtype)


_upsampling_head = register(
    "upsampling_head(Tensor x, Tensor packed, int num_classes) -> Tensor",
    plain=_plain,
    fake=_fake,
    differentiable_output=True,
)


def pack_upsampling_head(
    depthwise: Weights,
    project: Weights,
    classifier: Weights,
    *,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Packed weights for `upsampling_head`.

    Args:
        depthwise: float32 weight [in, 1, k, k] with k 3 or 5 and bias [in], batch norm folded in.
        project: likewise, weight [fused, in, 1, 1].
        classifier: weight [num_classes, fused, 1, 1] and bias.
        dtype: of the maps, and of the weights as they are stored; float32, float16 or bfloat16.

    Returns:
        A uint8 tensor, the same for every instruction set.

    Raises:
        TypeError: weights are not float32 tensors.
        ValueError: a shape does not fit, or dtype cannot hold a weight.
    """
    op = "pack_upsampling_head"
    element = code_of(op, dtype)
    check_weights(op, "depthwise", depthwise, (None, 1, None, None))
    channels, _, *kernel = depthwise[0].shape
    if kernel not in ([3, 3], [5, 5]):
        raise ValueError(f"{op}: expected a kernel of 3x3 or 5x5, got {kernel[0]}x{kernel[1]}")
    check_weights(op, "project", project, (None, channels, 1, 1))
    fused = len(project[0])
    check_weights(op, "classifier", classifier, (None, fused, 1, 1))
    header = Header(
        Kind.UPSAMPLING_HEAD,
        in_channels=channels,
        hidden_channels=channels,
        out_channels=fused,
        kernel_size=kernel[0],
        stride=1,
        depthwise_activation=Activation.RELU,
        classes=len(classifier[0]),
        element=element,
    )
    return pack(header, depthwise, project, classifier)


def upsampling_head(x: Tensor, packed: Tensor, num_classes: int) -> Tensor:
    """classifier(relu(conv1x1(relu(depthwise(resize(x)))))), storing the logits alone.

    What a segmentation head that upsamples does from its resize on: to twice the size, bilinear
    with half-pixel centres, then an inverted residual without expansion, into which the scale and
    shift behind it are folded, and the classifier. On the CPU a fused kernel does it, elsewhere
    plain PyTorch. There is no gradient.

    Args:
        x: [B, in, H, W] of the packed weights' type, any batch, H and W from 1; converted
            once if not channels_last.
        packed: from `pack_upsampling_head`.
        num_classes: as packed.

    Returns:
        Logits [B, num_classes, 2 H, 2 W] of the type of x, channels_last.

    Raises:
        TypeError: an argument has a wrong type, or x is of a type that no weights have.
        ValueError: a shape is wrong, or packed is not for this call.
        RuntimeError: x requires grad, and grad mode is on.
    """
    _maps.check_call("upsampling_head", x, packed, num_classes=num_classes)
    return _upsampling_head(x, packed, num_classes)
