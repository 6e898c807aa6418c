"""Steps of a whole network that have no weights: what there is between its blocks.

Outside of a network they are ops of PyTorch; in a plan each is one more step of `pack_plan`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seaformer_kernels.ops._activation import Activation
from seaformer_kernels.ops._element import code_of
from seaformer_kernels.ops._packed import (
    AVERAGES,
    COUNTS_PADDING,
    MAX_CHANNELS,
    Header,
    Kind,
    pack,
)
from seaformer_kernels.ops._window import Padding, Window, padding_of

_MODES = {"bilinear": 0, "bilinear, aligned corners": 1, "nearest": 2}
MOST_TIMES = 16
MOST_STRIDE = 16


def pack_activate(channels: int, activation: str, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """A step that is an activation by itself; most are part of the step in front of them.

    Args:
        channels: of the map.
        activation: one of `ACTIVATIONS`, or a leaky ReLU such as "leaky_relu(0.1)".
        dtype: of the map; float32, float16 or bfloat16.

    Returns:
        A uint8 tensor, for `Step.packed`.

    Raises:
        ValueError: a number, the activation or dtype is not one of these.
    """
    element = code_of("pack_activate", dtype)
    code = Activation.of("pack_activate", activation)
    return _pack("pack_activate", Kind.ACTIVATE, channels, 0, element, expand_activation=code)


def pack_add(
    channels: int, *, activation: str = "none", dtype: torch.dtype = torch.float32
) -> Tensor:
    """A step that adds two maps of one shape.

    Args:
        channels: of both.
        activation: one of `ACTIVATIONS`, or a leaky ReLU such as "leaky_relu(0.1)", behind the sum.
        dtype: of the maps; float32, float16 or bfloat16.

    Returns:
        A uint8 tensor, for `Step.packed`.

    Raises:
        ValueError: a number, the activation or dtype is not one of these.
    """
    element = code_of("pack_add", dtype)
    code = Activation.of("pack_add", activation)
    return _pack("pack_add", Kind.ADD, channels, channels, element, expand_activation=code)


def pack_scale(channels: int, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """A step that multiplies a map with another of one pixel, which it reads second.

    Args:
        channels: of both.
        dtype: of the maps; float32, float16 or bfloat16.

    Returns:
        A uint8 tensor, for `Step.packed`.

    Raises:
        ValueError: a number or dtype is not one of these.
    """
    element = code_of("pack_scale", dtype)
    return _pack("pack_scale", Kind.SCALE, channels, channels, element)


def pack_concat(first: int, second: int, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """A step that makes one map of the channels of two; of more, it takes several steps.

    Args:
        first, second: channels of the maps it reads.
        dtype: of the maps; float32, float16 or bfloat16.

    Returns:
        A uint8 tensor, for `Step.packed`.

    Raises:
        ValueError: a number or dtype is not one of these.
    """
    element = code_of("pack_concat", dtype)
    return _pack("pack_concat", Kind.CONCAT, first, second, element, out_channels=first + second)


def pack_slice(
    channels: int, first: int, count: int, *, dtype: torch.dtype = torch.float32
) -> Tensor:
    """A step that makes a map of some channels of another, that lie side by side.

    Args:
        channels: of the map it reads.
        first, count: of those that are kept.
        dtype: of the maps; float32, float16 or bfloat16.

    Returns:
        A uint8 tensor, for `Step.packed`.

    Raises:
        ValueError: a number or dtype is not one of these, or there are no such channels.
    """
    op = "pack_slice"
    element = code_of(op, dtype)
    if not 0 <= first <= channels - count:
        raise ValueError(
            f"{op}: expected channels among {channels}, got {count} from channel {first} on"
        )
    return _pack(op, Kind.SLICE, channels, first, element, out_channels=count)


def pack_attention(
    heads: int,
    key_dim: int,
    value_dim: int,
    *,
    activation: str = "none",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """A step that is attention of all pixels: softmax(q k^T / sqrt(key_dim)) v of each head.

    Args:
        heads: the map's channels are the queries of all heads, then keys, then values.
        key_dim, value_dim: of one head.
        activation: "none", "relu" or "relu6", behind it.
        dtype: of the maps; float32, float16 or bfloat16. It is calculated in float32.

    Returns:
        A uint8 tensor, for `Step.packed`; the step writes heads * value_dim channels.

    Raises:
        ValueError: a number, the activation or dtype is not one of these.
    """
    op = "pack_attention"
    element = code_of(op, dtype)
    code = Activation.of(op, activation, Activation.RELU6)
    if min(heads, key_dim, value_dim) < 1:
        raise ValueError(
            f"{op}: expected heads, keys and values, got {heads}, {key_dim} and {value_dim}"
        )
    return _pack(
        op,
        Kind.ATTENTION,
        heads * (2 * key_dim + value_dim),
        0,
        element,
        out_channels=heads * value_dim,
        expand_activation=code,
        heads=heads,
        key_dim=key_dim,
    )


def pack_global_pool(channels: int, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """A step that makes one pixel of a map: the means of its channels.

    Args:
        channels: of the map.
        dtype: of the maps; float32, float16 or bfloat16.

    Returns:
        A uint8 tensor, for `Step.packed`.

    Raises:
        ValueError: a number or dtype is not one of these.
    """
    element = code_of("pack_global_pool", dtype)
    return _pack("pack_global_pool", Kind.GLOBAL_POOL, channels, 0, element)


def pack_pool(
    channels: int,
    kernel_size: Sequence[int],
    *,
    stride: int,
    padding: Padding = (0, 0),
    dilation: int = 1,
    average: bool = False,
    counts_padding: bool = True,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """A step that pools, as `torch.nn.MaxPool2d` and `AvgPool2d` with ceil_mode off.

    Args:
        channels: of the map.
        kernel_size: rows and columns of the window, 1 to 7.
        stride: of both, 1 to 4.
        padding: around rows and around columns, at most half of the window; or "same",
            TensorFlow's.
        dilation: of both, 1 to 128; 1 for means.
        average: means in the place of the greatest numbers.
        counts_padding: as count_include_pad, for means.
        dtype: of the maps; float32, float16 or bfloat16.

    Returns:
        A uint8 tensor, for `Step.packed`.

    Raises:
        ValueError: a number or dtype is not one of these.
    """
    op = "pack_pool"
    element = code_of(op, dtype)
    window = Window(tuple(kernel_size), stride, padding_of(padding), dilation)
    window.check(op)
    reaches = [(size - 1) * dilation + 1 for size in window.size]
    if any(2 * pad > reach for pad, reach in zip(window.padding, reaches, strict=False)):
        raise ValueError(
            f"{op}: expected padding of at most half the window, got {list(window.padding)}"
        )
    if average and dilation > 1:
        raise ValueError(f"{op}: expected dilation 1 for means, got {dilation}")
    fields = window.fields()
    fields["flags"] |= AVERAGES if average else 0
    fields["flags"] |= COUNTS_PADDING if average and counts_padding else 0
    return _pack(op, Kind.POOL, channels, fields.pop("hidden_channels"), element, **fields)


def pack_adaptive_pool(
    channels: int, like_channels: int, stride: int, *, dtype: torch.dtype = torch.float32
) -> Tensor:
    """A step that averages, as `torch.nn.functional.adaptive_avg_pool2d`, to a size of a map's.

    Args:
        channels: of the map.
        like_channels: of another, read second, of which only the size counts.
        stride: 1 to 16; what comes out is as high and wide as the other, divided by it and
            rounded up.
        dtype: of the map; float32, float16 or bfloat16.

    Returns:
        A uint8 tensor, for `Step.packed`.

    Raises:
        ValueError: a number or dtype is not one of these.
    """
    op = "pack_adaptive_pool"
    element = code_of(op, dtype)
    if not 1 <= stride <= MOST_STRIDE:
        raise ValueError(f"{op}: expected a stride of 1 to {MOST_STRIDE}, got {stride}")
    return _pack(op, Kind.ADAPTIVE_POOL, channels, like_channels, element, stride=stride)


def pack_resize(
    channels: int,
    like_channels: int,
    *,
    mode: str = "bilinear",
    align_corners: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """A step that resizes a map to the size of another, which it reads second.

    Args:
        channels: of the map.
        like_channels: of the other, of which only the size counts.
        mode: "bilinear" or "nearest".
        align_corners: as of `torch.nn.functional.interpolate`, for "bilinear".
        dtype: of the map; float32, float16 or bfloat16.

    Returns:
        A uint8 tensor, for `Step.packed`.

    Raises:
        ValueError: a number, the mode or dtype is not one of these.
    """
    op = "pack_resize"
    element = code_of(op, dtype)
    code = _mode(op, mode, align_corners)
    return _pack(op, Kind.RESIZE, channels, like_channels, element, heads=code)


def pack_resize_add(
    channels: int,
    *,
    mode: str = "bilinear",
    align_corners: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """A step that resizes a map to the size of another, which it reads second, and adds that.

    Args:
        channels: of both maps.
        mode, align_corners: as of `pack_resize`.
        dtype: of the maps; float32, float16 or bfloat16.

    Returns:
        A uint8 tensor, for `Step.packed`.

    Raises:
        ValueError: a number, the mode or dtype is not one of these.
    """
    op = "pack_resize_add"
    element = code_of(op, dtype)
    code = _mode(op, mode, align_corners)
    return _pack(op, Kind.RESIZE_ADD, channels, channels, element, heads=code)


def pack_upsample(
    channels: int,
    times: int,
    *,
    mode: str = "bilinear",
    align_corners: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """A step that makes a map several times as high and wide.

    Args:
        channels: of the map.
        times: 1 to 16.
        mode, align_corners: as of `pack_resize`.
        dtype: of the map; float32, float16 or bfloat16.

    Returns:
        A uint8 tensor, for `Step.packed`.

    Raises:
        ValueError: a number, the mode or dtype is not one of these.
    """
    op = "pack_upsample"
    element = code_of(op, dtype)
    code = _mode(op, mode, align_corners)
    if not 1 <= times <= MOST_TIMES:
        raise ValueError(f"{op}: expected 1 to {MOST_TIMES} times the size, got {times}")
    return _pack(op, Kind.UPSAMPLE, channels, 0, element, heads=code, stride=times)


def _mode(op: str, mode: str, align_corners: bool) -> int:
    name = f"{mode}, aligned corners" if align_corners else mode
    if name not in _MODES:
        raise ValueError(f"{op}: expected a mode among {'; '.join(_MODES)}, got {name!r}")
    return _MODES[name]


def _pack(
    op: str,
    kind: Kind,
    channels: int,
    hidden: int,
    element: int,
    *,
    out_channels: int | None = None,
    **fields: int,
) -> Tensor:
    """The header; as many output channels as input ones, unless they are given."""
    out = channels if out_channels is None else out_channels
    for count in (channels, out):
        if not 0 < count <= MAX_CHANNELS:
            raise ValueError(f"{op}: expected 1 to {MAX_CHANNELS} channels, got {count}")
    return pack(Header(kind, channels, hidden, out, element=element, **fields))
