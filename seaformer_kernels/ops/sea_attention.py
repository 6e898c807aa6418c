"""Squeeze-enhanced axial attention in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from seaformer_kernels.ops import _int8, _maps
from seaformer_kernels.ops._activation import Activation
from seaformer_kernels.ops._element import WITH_INT8, code_of
from seaformer_kernels.ops._int8 import Int8Layer
from seaformer_kernels.ops._library import register
from seaformer_kernels.ops._packed import (
    EXPANDS,
    POSITIONS,
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
    _maps.check_map("sea_attention", "x", x, WITH_INT8)
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
    if header.dtype == torch.int8:
        return _plain_int8(x, header, packed, residual)
    qkv, depthwise, detail, row, column, project, (_, learned) = unpack(header, packed)
    positions = _positions(header, learned)
    given = x.float()
    y = _maps.pointwise(given, *qkv)
    details = _maps.pointwise(F.relu6(_maps.depthwise(y, *depthwise)), *detail)

    rows = _maps.pointwise(_attend(header, y.mean(3), positions[:2]), *row)
    columns = _maps.pointwise(_attend(header, y.mean(2), positions[2:]), *column).transpose(2, 3)
    values = y[:, 2 * num_heads * key_dim :]
    gate = _maps.pointwise(F.relu6(values + rows + columns), *project)
    result = F.hardsigmoid(gate) * details
    return _maps.channels_last(given + result if residual else result, x.dtype)


def _plain_int8(x: Tensor, header: Header, packed: Tensor, residual: bool) -> Tensor:
    numbers, (*sections, (_, learned)) = _int8.read_sections(header, packed)
    input_scale, output_scale, _, qkv_scale, attended_scale, gate_scale = numbers[:6]
    qkv, depthwise = (_int8.unpack_layer(*section) for section in sections[:2])
    detail, row, column, project = (
        _int8.unpack_layer(*section, _int8.LEAST) for section in sections[2:]
    )
    positions = _positions(header, learned.view(torch.float32))

    def convolve(quantized: Tensor, layer: Int8Layer) -> Tensor:
        """Of what is behind a ReLU6."""
        sums = _int8.pointwise(quantized.int() - _int8.LEAST, layer)
        return _int8.floats(sums, layer.multiplier)

    def attend(axis: int, positions: Tensor, layer: Int8Layer) -> Tensor:
        mean = y.float().sum(axis) * (1 / y.shape[axis]) * qkv_scale
        attended = _attend(header, mean, positions)
        return convolve(_int8.quantize(attended, attended_scale, _int8.LEAST), layer)

    y = _int8.requantize(_int8.pointwise(x, qkv), qkv.multiplier, 0)
    filtered = _int8.depthwise(y, depthwise)
    details = convolve(_int8.requantize(filtered, depthwise.multiplier, _int8.LEAST), detail)
    rows = attend(3, positions[:2], row)
    columns = attend(2, positions[2:], column).transpose(2, 3)
    values = y[:, 2 * header.heads * header.key_dim :].float() * (qkv_scale / gate_scale)
    gate = convolve(_int8.quantize(values + (rows + columns), 1.0, _int8.LEAST), project)
    result = _int8.ramp(gate) * details
    if residual:
        result = result + x.float() * (input_scale / output_scale)
    return _maps.channels_last(_int8.quantize(result, 1.0))


def _positions(header: Header, learned: Tensor) -> Tensor:
    """[4, keys, POSITIONS], of queries and keys of rows, then of columns."""
    return learned.view(4, POSITIONS, header.heads * header.key_dim).transpose(1, 2)


def _attend(header: Header, mean: Tensor, positions: Tensor) -> Tensor:
    """Attention of means [batch, channels, length] behind its ReLU6, [batch, values, length, 1]."""
    keys = header.heads * header.key_dim
    q, k, v = mean.split([keys, keys, mean.shape[1] - 2 * keys], 1)
    resized = F.interpolate(positions, size=mean.shape[-1], mode="linear", align_corners=False)
    parts = (q + resized[0], k + resized[1], v)
    q, k, v = (part.unflatten(1, (header.heads, -1)) for part in parts)
    shares = (header.key_dim**-0.5 * torch.einsum("bhdi,bhdj->bhij", q, k)).softmax(3)
    out = torch.einsum("bhij,bhdj->bihd", shares, v).flatten(2).transpose(1, 2)
    return F.relu6(out)[:, :, :, None]


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
    _check_heads(op, num_heads, wide, deep)
    check_weights(op, "depthwise", depthwise, (2 * wide + deep, 1, 3, 3))
    check_weights(op, "detail", detail, (channels, 2 * wide + deep, 1, 1))
    check_weights(op, "row", row, (deep, deep, 1, 1))
    check_weights(op, "column", column, (deep, deep, 1, 1))
    check_weights(op, "project", project, (channels, deep, 1, 1))
    weight, bias = (torch.cat(parts) for parts in zip(queries, keys, values, strict=True))
    table = _table(op, positions, wide)
    header = _header(channels, wide, deep, num_heads, element)
    return pack(header, (weight, bias), depthwise, detail, row, column, project, table)


def pack_int8_sea_attention(
    queries: Int8Layer,
    keys: Int8Layer,
    values: Int8Layer,
    depthwise: Int8Layer,
    detail: Int8Layer,
    row: Int8Layer,
    column: Int8Layer,
    project: Int8Layer,
    positions: Sequence[Tensor],
    *,
    num_heads: int,
    input_scale: float,
    output_scale: float,
    qkv_scale: float,
    attended_scale: float,
    gate_scale: float,
) -> Tensor:
    """Packed weights for `sea_attention` of int8 maps, whose zero points are 0.

    Queries, keys and values are int8; so is, with a zero point of -128, what is behind each ReLU6.
    Between these, means and attention are float32, and so are the outputs of detail, row, column
    and project and what follows, up to the output.

    Args:
        queries, keys: weight [num_heads * key_dim, channels, 1, 1].
        values: weight [V, channels, 1, 1], V a multiple of num_heads.
        depthwise: weight [A, 1, 3, 3], over queries, keys and values, A in number.
        detail: weight [channels, A, 1, 1], the multiplier in sixths of output_scale.
        row, column: weight [V, V, 1, 1], the multiplier in units of gate_scale.
        project: weight [channels, V, 1, 1].
        positions: as for `pack_sea_attention`.
        num_heads: number of heads.
        input_scale, output_scale: of the maps outside.
        qkv_scale: of queries, keys and values.
        attended_scale: of what attention hands to row and column.
        gate_scale: of what project reads.

    Returns:
        A uint8 tensor, the same for every instruction set.

    Raises:
        TypeError: layers or positions are not of tensors of their types.
        ValueError: a shape or scale does not fit; or a layer is beyond the limits, within which
            sums are exact.
    """
    op = "pack_int8_sea_attention"
    _int8.check_layer(op, "queries", queries, (None, None, 1, 1), 0, 0)
    wide, channels = queries.weight.shape[:2]
    _int8.check_layer(op, "keys", keys, (wide, channels, 1, 1), 0, 0)
    _int8.check_layer(op, "values", values, (None, channels, 1, 1), 0, 0)
    deep = len(values.weight)
    _check_heads(op, num_heads, wide, deep)
    _int8.check_layer(op, "depthwise", depthwise, (2 * wide + deep, 1, 3, 3), 0, _int8.LEAST)
    behind = {
        "detail": (detail, channels, 2 * wide + deep),
        "row": (row, deep, deep),
        "column": (column, deep, deep),
        "project": (project, channels, deep),
    }
    for name, (layer, outputs, inputs) in behind.items():
        _int8.check_layer(op, name, layer, (outputs, inputs, 1, 1), _int8.LEAST, None)
    table = _table(op, positions, wide)
    _int8.check_scales(op, input_scale, output_scale, qkv_scale, attended_scale, gate_scale)
    qkv = Int8Layer(*(torch.cat(parts) for parts in zip(queries, keys, values, strict=True)))
    element = code_of(op, torch.int8, WITH_INT8)
    return pack(
        _header(channels, wide, deep, num_heads, element),
        _int8.pack_scales(input_scale, output_scale, 0.0, qkv_scale, attended_scale, gate_scale),
        _int8.pack_layer(qkv, zero_out=0),
        _int8.pack_layer(depthwise, zero_out=_int8.LEAST, depthwise=True),
        *(
            _int8.pack_layer(layer, zero_in=_int8.LEAST, zero_out=0)
            for layer, *_ in behind.values()
        ),
        table,
    )


def _check_heads(op: str, num_heads: int, wide: int, deep: int) -> None:
    if num_heads < 1 or wide % num_heads or deep % num_heads:
        raise ValueError(
            f"{op}: expected num_heads to divide keys and values, got {num_heads} heads, {wide} "
            f"keys and {deep} values"
        )


def _table(op: str, positions: Sequence[Tensor], wide: int) -> Weights:
    """The section of the learned positions, after checks."""
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
    return table.new_empty(len(table), 0), table


def _header(channels: int, wide: int, deep: int, num_heads: int, element: int) -> Header:
    """The header of weights with so many keys and values."""
    return Header(
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
        packed: from `pack_sea_attention` or, for int8 maps, `pack_int8_sea_attention`.
        num_heads, key_dim: as packed.
        residual: add x to the result.

    Returns:
        Of the type and shape of x, channels_last.

    Raises:
        TypeError: an argument has a wrong type, or x is of a type that no weights have.
        ValueError: a shape or number is wrong, or packed is not for this call.
        RuntimeError: x requires grad, and grad mode is on.
    """
    _maps.check_call("sea_attention", x, packed, WITH_INT8, num_heads=num_heads, key_dim=key_dim)
    return _sea_attention(x, packed, num_heads, key_dim, bool(residual))
