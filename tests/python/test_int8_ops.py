"""Int8 packed weights and the plain form of the ops that read them, held against whole numbers."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch
from int8_layers import layer
from torch import Tensor

from seaformer_kernels import ops
from seaformer_kernels.data import IMAGENET_MEAN, IMAGENET_STD
from seaformer_kernels.ops import _int8
from seaformer_kernels.ops._packed import HEADER_BYTES
from seaformer_kernels.ops.inverted_residual import plain as plain_block
from seaformer_kernels.ops.stem import plain as plain_stem
from seaformer_kernels.ops.stem_block import _plain as plain_both
from seaformer_kernels.ops.stem_block import joins

ZERO = {"none": 0, "relu": -128, "relu6": -128}


def rounded(number: float) -> int:
    return int(np.rint(np.float64(number)))  # ties to even


def exact(x: np.ndarray, given: ops.Int8Layer, zero: int, *, stride: int, depthwise: bool):
    """Sums of one image [C, H, W], less its zero point, and what is written without clamp."""
    weight = given.weight.numpy().astype(np.int64)
    half = weight.shape[-1] // 2
    x = np.pad(x.astype(np.int64), ((0, 0), (half, half), (half, half)))
    height, width = ((side - 2 * half - 1) // stride + 1 for side in x.shape[1:])
    result = np.zeros((len(weight), height, width), np.int64)
    for out, row, column in np.ndindex(result.shape):
        top, left = row * stride, column * stride
        window = x[:, top : top + weight.shape[2], left : left + weight.shape[3]]
        window = window[out : out + 1] if depthwise else window
        total = int((window * weight[out]).sum()) + int(given.bias[out])
        result[out, row, column] = rounded(total * float(given.multiplier[out])) + zero
    return result


def clamped(q: np.ndarray) -> np.ndarray:
    return q.clip(-128, 127)


@pytest.mark.parametrize("expands", [True, False])
@pytest.mark.parametrize(
    ("kernel", "stride", "residual", "activations", "reads", "writes"),
    [
        (3, 1, True, ("relu", "relu"), "none", "none"),
        (3, 2, False, ("none", "relu6"), "relu", "none"),
        (5, 1, True, ("relu6", "none"), "relu", "none"),
        (5, 2, False, ("relu", "relu"), "none", "relu"),
        (3, 1, True, ("relu", "relu"), "relu", "relu"),
    ],
)
def test_a_block_is_exact(expands, kernel, stride, residual, activations, reads, writes):
    channels, hidden = 18, 35 if expands else 18
    expand = layer(hidden, channels, 1, 1, seed=1) if expands else None
    depthwise = layer(hidden, 1, kernel, kernel, seed=2)
    project = layer(channels, hidden, 1, 1, seed=3)
    packed = ops.pack_int8_inverted_residual(
        expand,
        depthwise,
        project,
        input_scale=0.5,
        output_scale=0.25,
        ratio=3000,
        stride=stride,
        input_activation=reads,
        expand_activation=activations[0],
        depthwise_activation=activations[1],
        output_activation=writes,
    )
    x = torch.randint(-128, 128, (1, channels, 5, 6), dtype=torch.int8)
    zero = ZERO[reads]
    y = given = x[0].numpy().astype(np.int64) - zero
    if expand is not None:
        zero = ZERO[activations[0]]
        y = clamped(exact(y, expand, zero, stride=1, depthwise=False)) - zero
    zero = ZERO[activations[1]]
    y = clamped(exact(y, depthwise, zero, stride=stride, depthwise=True)) - zero
    y = exact(y, project, ZERO[writes], stride=1, depthwise=False)
    if residual:
        y = y + ((given * 8 * 3000 + (1 << 14)) >> 15)
    found = plain_block(x, packed, channels, kernel, stride, residual)
    assert found.dtype == torch.int8
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert (found[0].numpy() == clamped(y)).all()


def pixel_layer(seed: int = 5) -> ops.Int8Layer:
    return layer(20, 3, 3, 3, seed=seed)


def test_a_stem_is_exact():
    given = pixel_layer()
    image = torch.randint(0, 256, (1, 3, 7, 8), dtype=torch.uint8)
    border = np.rint(np.array(IMAGENET_MEAN)).astype(np.int64)
    x = image[0].numpy().astype(np.int64)
    # Padding counts as pixels of the mean.
    framed = np.empty((3, 9, 10), np.int64)
    framed[:] = border[:, None, None]
    framed[:, 1:-1, 1:-1] = x
    expected = clamped(exact(framed, given, -128, stride=1, depthwise=False))[:, 1:-1:2, 1:-1:2]
    packs = {
        raw: ops.pack_int8_stem(
            given, output_scale=0.1, mean=IMAGENET_MEAN, std=IMAGENET_STD, normalizes=raw
        )
        for raw in (True, False)
    }
    found = plain_stem(image, packs[True], 20, torch.int8)
    assert found.dtype == torch.int8
    assert (found[0].numpy() == expected).all()
    near = image.float() + 0.4 * (torch.rand(image.shape) - 0.5)
    assert (plain_stem(near, packs[True], 20, torch.int8) == found).all()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    normalised = (image.float() - mean) / std
    assert (plain_stem(normalised, packs[False], 20, torch.int8) == found).all()
    with pytest.raises(ValueError, match="expected a float32 image"):
        plain_stem(image, packs[False], 20, torch.int8)


def behind_stem(**changes) -> Tensor:
    given = {"input_scale": 0.1, "output_scale": 0.2, "input_activation": "relu"} | changes
    return ops.pack_int8_inverted_residual(
        None, layer(20, 1, 3, 3, seed=6), layer(20, 20, 1, 1, seed=7), ratio=2048, **given
    )


def test_stem_and_block_join():
    stem = ops.pack_int8_stem(pixel_layer(), output_scale=0.1, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    assert joins(stem, behind_stem())
    assert not joins(stem, behind_stem(input_activation="none"))
    assert not joins(stem, behind_stem(input_scale=0.2))
    image = torch.randint(0, 256, (2, 3, 9, 8), dtype=torch.uint8)
    joined = plain_both(image, stem, behind_stem(), 20, 3, 1, True, torch.int8)
    middle = plain_stem(image, stem, 20, torch.int8)
    assert (joined == plain_block(middle, behind_stem(), 20, 3, 1, True)).all()


def test_layout_is_that_of_the_kernels():
    """Field by field, from what csrc says of pointwise and depthwise sections."""
    expand, depthwise, project = (
        layer(18, 5, 1, 1, seed=1),
        layer(18, 1, 3, 3, seed=2),
        layer(3, 18, 1, 1, seed=3),
    )
    packed = ops.pack_int8_inverted_residual(
        expand, depthwise, project, input_scale=0.5, output_scale=0.25, ratio=9
    )
    data = bytes(packed.numpy())
    assert struct.unpack_from("<16i", data)[1] == 4
    assert struct.unpack_from("<16i", data)[14] == 3
    assert struct.unpack_from("<16f", data, HEADER_BYTES)[:4] == (0.5, 0.25, 9.0, 0.0)
    at = HEADER_BYTES + 64
    sections = [(expand, 0, -128, 4), (depthwise, 0, -128, 1), (project, -128, 0, 4)]
    for given, zero_in, zero_out, group in sections:
        weight = given.weight.flatten(1).tolist()
        taps = len(weight[0])
        rows = -(-taps // group) * group
        for first in range(0, len(weight), 16):
            biases = struct.unpack_from("<16i", data, at)
            multipliers = struct.unpack_from("<16f", data, at + 64)
            offsets = struct.unpack_from("<16f", data, at + 128)
            sums = struct.unpack_from("<16i", data, at + 192)
            panel = struct.unpack_from(f"<{16 * rows}b", data, at + 256)
            for i in range(16):
                n = first + i
                w = weight[n] if n < len(weight) else [0] * taps
                bias = int(given.bias[n]) if n < len(weight) else 0
                multiplier = float(given.multiplier[n]) if n < len(weight) else 0.0
                assert sums[i] == sum(w)
                assert biases[i] == 0x4B400000 + bias - zero_in * sum(w)
                assert multipliers[i] == multiplier
                assert offsets[i] == 12582912 - 12582912 * multiplier + zero_out
                for k in range(rows):
                    wanted = w[k] if k < taps else 0
                    assert panel[k // group * 16 * group + i * group + k % group] == wanted
            at += 256 + 16 * rows
    assert at == len(data)


def test_layers_come_back():
    for depthwise, shape in ((False, (37, 7, 1, 1)), (True, (37, 1, 5, 5))):
        given = layer(*shape)
        data = _int8.pack_layer(given, zero_out=-128, zero_in=-128, depthwise=depthwise)
        section = _int8.Section(37, given.weight[0].numel(), depthwise)
        assert len(data) == section.byte_length(torch.int8)
        found = _int8.unpack_layer(section, data, -128)
        assert all(
            (a == b.flatten(1) if a.dim() > 1 else a == b).all()
            for a, b in zip(found, given, strict=True)
        )


def test_maps_come_back():
    q = torch.arange(-128, 128, dtype=torch.int8)
    for scale in (0.1, 0.0371, 3.3e-5, 977.0):
        for zero in (0, -128):
            x = _int8.dequantize(q, scale, zero)
            assert (_int8.quantize(x, scale, zero) == q).all()
    odd = torch.tensor([float("nan"), float("inf"), -float("inf"), 0.25, 0.75])
    assert _int8.quantize(odd, 0.5).tolist() == [0, 127, -128, 0, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": torch.full((4, 8, 1, 1), -128, dtype=torch.int8)}, "from -127 to 127"),
        ({"bias": torch.full((4,), 1 << 22, dtype=torch.int32)}, r"sums below 2\^22"),
        ({"multiplier": torch.full((4,), 0.1)}, "whole multiples"),
        ({"multiplier": torch.full((4,), 4.0)}, "from 0 to 2"),
        (
            {"multiplier": torch.ones(4), "bias": torch.full((4,), 1 << 15, dtype=torch.int32)},
            r"below 2\^15",
        ),
        ({"bias": torch.zeros(3, dtype=torch.int32)}, "as many biases"),
    ],
)
def test_limits_are_held(changes, message):
    given = layer(4, 8, 1, 1, bias=10)._replace(**changes)
    with pytest.raises(ValueError, match=message):
        ops.pack_int8_inverted_residual(
            None, layer(8, 1, 3, 3), given, input_scale=1.0, output_scale=1.0
        )


def test_bad_calls_are_refused():
    parts = (None, layer(8, 1, 3, 3), layer(4, 8, 1, 1))
    scales = {"input_scale": 1.0, "output_scale": 1.0}
    with pytest.raises(ValueError, match="activation among none, relu, relu6, got"):
        ops.pack_int8_inverted_residual(*parts, **scales, expand_activation="hardsigmoid")
    with pytest.raises(ValueError, match="positive scales"):
        ops.pack_int8_inverted_residual(*parts, input_scale=1.0, output_scale=0.0)
    with pytest.raises(ValueError, match="a ratio from 0 to 32767"):
        ops.pack_int8_inverted_residual(*parts, **scales, ratio=1 << 15)
    with pytest.raises(TypeError, match="int8, int32 and float32"):
        ops.pack_int8_inverted_residual(
            None, parts[1]._replace(bias=torch.zeros(8)), parts[2], **scales
        )
    packed = ops.pack_int8_inverted_residual(*parts, **scales)
    with pytest.raises(ValueError, match="packed weights of float32 for maps of it"):
        plain_block(torch.zeros(1, 8, 4, 4), packed, 4, 3, 1, False)
    with pytest.raises(ValueError, match="expected dtype to be float32, float16 or bfloat16"):
        ops.pack_inverted_residual(
            None,
            (torch.zeros(8, 1, 3, 3), torch.zeros(8)),
            (torch.zeros(4, 8, 1, 1), torch.zeros(4)),
            dtype=torch.int8,
        )
