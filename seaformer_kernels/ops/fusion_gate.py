"""Fine features gated by coarse ones in one pass."""

from __future__ import annotations

import torch
from torch import Tensor

from seaformer_kernels.ops import _int8, _maps
from seaformer_kernels.ops._element import WITH_INT8, code_of
from seaformer_kernels.ops._int8 import Int8Layer
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
    _maps.check_map("fusion_gate", "local", local, WITH_INT8)
    _maps.check_map("fusion_gate", "coarse", coarse, WITH_INT8)
    _maps.check_pair("fusion_gate", local, coarse)
    _maps.check_positive("fusion_gate", "out_channels", out_channels)
    check_buffer("fusion_gate", packed)
    element = code_of("fusion_gate", local.dtype, WITH_INT8)
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
    if header.dtype == torch.int8:
        _, sections = _int8.read_sections(header, packed)
        gated = _int8.gated(local, coarse, *(_int8.unpack_layer(*section) for section in sections))
        return _maps.channels_last(_int8.quantize(gated, 1.0))
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


def pack_int8_fusion_gate(
    local: Int8Layer,
    coarse: Int8Layer,
    *,
    local_scale: float,
    coarse_scale: float,
    output_scale: float,
) -> Tensor:
    """Packed weights for `fusion_gate` of int8 maps, whose zero points are 0.

    Sums times multipliers are float32, and so is what follows, up to the output.

    Args:
        local: weight [out, local, 1, 1], the multiplier in sixths of output_scale.
        coarse: weight [out, coarse, 1, 1].
        local_scale, coarse_scale, output_scale: of the maps.

    Returns:
        A uint8 tensor, the same for every instruction set.

    Raises:
        TypeError: layers are not of tensors of their types.
        ValueError: a shape or scale does not fit; or a layer is beyond the limits, within which
            sums are exact.
    """
    op = "pack_int8_fusion_gate"
    _int8.check_layer(op, "local", local, (None, None, 1, 1), 0, None)
    out, local_channels = local.weight.shape[:2]
    _int8.check_layer(op, "coarse", coarse, (out, None, 1, 1), 0, None)
    _int8.check_scales(op, local_scale, coarse_scale, output_scale)
    element = code_of(op, torch.int8, WITH_INT8)
    header = Header(Kind.FUSION_GATE, local_channels, coarse.weight.shape[1], out, element=element)
    scales = _int8.pack_scales(local_scale, output_scale, 0.0, coarse_scale)
    return pack(header, scales, *(_int8.pack_layer(x, zero_out=0) for x in (local, coarse)))


def fusion_gate(local: Tensor, coarse: Tensor, packed: Tensor, out_channels: int) -> Tensor:
    """conv1x1(local) * resize(h_sigmoid(conv1x1(coarse))), without storing the resized gate.

    The fusion block of SeaFormer's light segmentation head, batch norms folded in; the resize is
    bilinear with half-pixel centres. On the CPU a fused kernel does it, elsewhere plain PyTorch.
    There is no gradient.

    Args:
        local: [B, local, H, W] of the packed weights' type, any batch, H and W from 1; converted
            once if not channels_last.
        coarse: [B, coarse, h, w], likewise; any h and w from 1.
        packed: from `pack_fusion_gate` or, for int8 maps, `pack_int8_fusion_gate`.
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
