"""Squeeze-enhanced axial attention in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from seaformer_kernels.ops import _maps
from seaformer_kernels.ops._element import code_of
from seaformer_kernels.ops._library import register
from seaformer_kernels.ops._packed import (
    EXPANDS,
    POSITIONS,
    Activation,
    Header,
    Kind,
    Weights,
    check_buffer,
    check_weights,
    pack,
    read_header,
    unpack,
)


def _fake(x: Tensor, packed: Tensor, num_heads: int, key_dim: int, residual: bool) -> Tensor:
    _maps.check_map("sea_attention", "x", x)
    _maps.check_positive("sea_attention", "num_heads", num_heads)
    _maps.check_positive("sea_attention", "key_dim", key_dim)
    check_buffer("sea_attention", packed)
    return _maps.empty_map(x, *x.shape)


def _plain(x: Tensor, packed: Tensor, num_heads: int, key_dim: int, residual: bool) -> Tensor:
    header = read_header(
        "sea_attention",
        Kind.SEA_ATTENTION,
        packed,
        x.dtype,
        in_channels=x.shape[1],
        heads=num_heads,
        key_dim=key_dim,
    )
    qkv, depthwise, detail, row, column, project, (_, learned) = unpack(header, packed)
    keys = num_heads * key_dim
    positions = learned.view(4, POSITIONS, keys).transpose(1, 2)
    given = x.float()
    y = _maps.pointwise(given, *qkv)
    details = _maps.pointwise(F.relu6(_maps.depthwise(y, *depthwise)), *detail)

    def attend(mean: Tensor, learned_q: Tensor, learned_k: Tensor, weights: Weights) -> Tensor:
        q, k, v = mean.split([keys, keys, mean.shape[1] - 2 * keys], 1)
        length = mean.shape[-1]
        q = q + F.interpolate(learned_q[None], size=length, mode="linear", align_corners=False)
        k = k + F.interpolate(learned_k[None], size=length, mode="linear", align_corners=False)
        q, k, v = (part.unflatten(1, (num_heads, -1)) for part in (q, k, v))
        shares = (key_dim**-0.5 * torch.einsum("bhdi,bhdj->bhij", q, k)).softmax(3)
        out = torch.einsum("bhij,bhdj->bihd", shares, v).flatten(2).transpose(1, 2)
        return _maps.pointwise(F.relu6(out)[:, :, :, None], *weights)

    rows = attend(y.mean(3), positions[0], positions[1], row)
    columns = attend(y.mean(2), positions[2], positions[3], column).transpose(2, 3)
    gate = _maps.pointwise(F.relu6(y[:, 2 * keys :] + rows + columns), *project)
    result = F.hardsigmoid(gate) * details
    return _maps.channels_last(given + result if residual else result, x.dtype)


_sea_attention = register(
    "sea_attention(Tensor x, Tensor packed, int num_heads, int key_dim, bool residual) -> Tensor",
    plain=_plain,
    fake=_fake,
    differentiable_output=True,
)


def pack_sea_attention(
    queries: Weights,
    keys: Weights,
    values: Weights,
    depthwise: Weights,
    detail: Weights,
    row: Weights,
    column: Weights,
    project: Weights,
    positions: Sequence[Tensor],
    *,
    num_heads: int,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Packed weights for `sea_attention`, batch norms folded in.

    Args:
        queries, keys: float32 weight [num_heads * key_dim, channels, 1, 1] and bias.
        values: likewise, weight [V, channels, 1, 1], V a multiple of num_heads.
        depthwise: likewise, weight [A, 1, 3, 3], over queries, keys and values, A in number.
        detail: likewise, weight [channels, A, 1, 1], after the depthwise convolution.
        row, column: likewise, weight [V, V, 1, 1], after the attention along each axis.
        project: likewise, weight [channels, V, 1, 1], of their sum with the values.
        positions: four learned embeddings float32 [1, num_heads * key_dim, 16]: of queries and keys
            of rows, then of columns.
        num_heads: number of heads.
        dtype: of the maps, and of the weights as they are stored; float32, float16 or bfloat16.

    Returns:
        A uint8 tensor, the same for every instruction set.

    Raises:
        TypeError: weights or positions are not float32 tensors.
        ValueError: a shape does not fit, or dtype cannot hold a weight.
    """
    op = "pack_sea_attention"
    element = code_of(op, dtype)
    check_weights(op, "queries", queries, (None, None, 1, 1))
    wide, channels = queries[0].shape[:2]
    check_weights(op, "keys", keys, (wide, channels, 1, 1))
    check_weights(op, "values", values, (None, channels, 1, 1))
    deep = len(values[0])
    if num_heads < 1 or wide % num_heads or deep % num_heads:
        raise ValueError(
            f"{op}: expected num_heads to divide keys and values, got {num_heads} heads, {wide} "
            f"keys and {deep} values"
        )
    check_weights(op, "depthwise", depthwise, (2 * wide + deep, 1, 3, 3))
    check_weights(op, "detail", detail, (channels, 2 * wide + deep, 1, 1))
    check_weights(op, "row", row, (deep, deep, 1, 1))
    check_weights(op, "column", column, (deep, deep, 1, 1))
    check_weights(op, "project", project, (channels, deep, 1, 1))
    if len(positions) != 4:
        raise ValueError(f"{op}: expected 4 tensors of positions, got {len(positions)}")
    for learned in positions:
        if not isinstance(learned, Tensor) or learned.dtype != torch.float32:
            raise TypeError(f"{op}: expected positions as float32 tensors")
        if learned.shape != (1, wide, POSITIONS):
            raise ValueError(
                f"{op}: expected positions of shape [1, {wide}, {POSITIONS}], got "
                f"{list(learned.shape)}"
            )
    table = torch.cat([learned.detach()[0].transpose(0, 1).flatten() for learned in positions])
    header = Header(
        Kind.SEA_ATTENTION,
        in_channels=channels,
        hidden_channels=2 * wide + deep,
        out_channels=channels,
        kernel_size=3,
        stride=1,
        depthwise_activation=Activation.RELU6,
        flags=EXPANDS,
        heads=num_heads,
        key_dim=wide // num_heads,
        element=element,
    )
    weight, bias = (torch.cat(parts) for parts in zip(queries, keys, values, strict=True))
    tables = (table.new_empty(len(table), 0), table)
    return pack(header, (weight, bias), depthwise, detail, row, column, project, tables)


def sea_attention(
    x: Tensor, packed: Tensor, num_heads: int, key_dim: int, residual: bool = False
) -> Tensor:
    """Squeeze-enhanced axial attention of SeaFormer (ICLR 2023, section 3.2).

    With q, k, v 1x1 convolutions of x, and batch norms folded into every convolution::

        detail = pointwise(relu6(depthwise3x3([q, k, v])))
        row    = pointwise(relu6(attention over rows of the means of q, k, v along W))
        column = pointwise(relu6(attention over columns of the means of q, k, v along H))
        result = h_sigmoid(pointwise(relu6(v + row + column))) * detail

    where attention adds learned positions, resized to the axis, to queries and keys, and is
    softmax(q k / sqrt(key_dim)) v in each head. On the CPU a fused kernel does it, elsewhere plain
    PyTorch. There is no gradient.

    Args:
        x: [B, channels, H, W] of the packed weights' type, any batch, H and W from 1; converted
            once if not channels_last.
        packed: from `pack_sea_attention`.
        num_heads, key_dim: as packed.
        residual: add x to the result.

    Returns:
        Of the type and shape of x, channels_last.

    Raises:
        TypeError: an argument has a wrong type, or x is of a type that no weights have.
        ValueError: a shape or number is wrong, or packed is not for this call.
        RuntimeError: x requires grad, and grad mode is on.
    """
    _maps.check_call("sea_attention", x, packed, num_heads=num_heads, key_dim=key_dim)
    return _sea_attention(x, packed, num_heads, key_dim, bool(residual))
