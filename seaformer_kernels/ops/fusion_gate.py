"""Fine features gated by coarse ones in one pass."""

from __future__ import annotations

import torch
from torch import Tensor

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


def _fake(local: Tensor, coarse: Tensor, packed: Tensor, out_channels: int) -> Tensor:
    _maps.check_map("fusion_gate", "local", local)
    _maps.check_map("fusion_gate", "coarse", coarse)
    _maps.check_pair("fusion_gate", local, coarse)
    _maps.check_positive("fusion_gate", "out_channels", out_channels)
    check_buffer("fusion_gate", packed)
    element = code_of("fusion_gate", local.dtype)
    header = Header(
        Kind.FUSION_GATE, local.shape[1], coarse.shape[1], out_channels, element=element
    )
    check_length("fusion_gate", header, packed)
    batch, _, height, width = local.shape
    return _maps.empty_map(local, batch, out_channels, height, width)


def _plain(local: Tensor, coarse: Tensor, packed: Tensor, out_channels: int) -> Tensor:
    header = read_header(
        "fusion_gate",
        Kind.FUSION_GATE,
        packed,
        local.dtype,
        in_channels=local.shape[1],
        hidden_channels=coarse.shape[1],
        out_channels=out_channels,
    )
    gated = _maps.gated(local.float(), coarse.float(), *unpack(header, packed))
    return _maps.channels_last(gated, local.dtype)


_fusion_gate = register(
    "fusion_gate(Tensor local, Tensor coarse, Tensor packed, int out_channels) -> Tensor",
    plain=_plain,
    fake=_fake,
    differentiable_output=True,
)


def pack_fusion_gate(
    local: Weights, coarse: Weights, *, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Packed weights for `fusion_gate`.

    Args:
        local: float32 weight [out, local, 1, 1] and bias [out], batch norm folded in.
        coarse: likewise, weight [out, coarse, 1, 1].
        dtype: of the maps, and of the weights as they are stored; float32, float16 or bfloat16.

    Returns:
        A uint8 tensor, the same for every instruction set.

    Raises:
        TypeError: weights are not float32 tensors.
        ValueError: a shape does not fit, or dtype cannot hold a weight.
    """
    element = code_of("pack_fusion_gate", dtype)
    check_weights("pack_fusion_gate", "local", local, (None, None, 1, 1))
    out, local_channels = local[0].shape[:2]
    check_weights("pack_fusion_gate", "coarse", coarse, (out, None, 1, 1))
    header = Header(Kind.FUSION_GATE, local_channels, coarse[0].shape[1], out, element=element)
    return pack(header, local, coarse)


def fusion_gate(local: Tensor, coarse: Tensor, packed: Tensor, out_channels: int) -> Tensor:
    """conv1x1(local) * resize(h_sigmoid(conv1x1(coarse))), without storing the resized gate.

    The fusion block of SeaFormer's light segmentation head, batch norms folded in; the resize is
    bilinear with half-pixel centres. On the CPU a fused kernel does it, elsewhere plain PyTorch.
    There is no gradient.

    Args:
        local: [B, local, H, W] of the packed weights' type, any batch, H and W from 1; converted
            once if not channels_last.
        coarse: [B, coarse, h, w], likewise; any h and w from 1.
        packed: from `pack_fusion_gate`.
        out_channels: width of the output, as packed.

    Returns:
        [B, out_channels, H, W] of the type of local, channels_last.

    Raises:
        TypeError: an argument has a wrong type, or a map is of a type that no weights have.
        ValueError: a shape is wrong, or packed is not for this call.
        RuntimeError: a map requires grad, and grad mode is on.
    """
    _maps.check_gate_call("fusion_gate", local, coarse, packed, out_channels=out_channels)
    return _fusion_gate(local, coarse, packed, out_channels)
