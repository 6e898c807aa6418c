"""Every 1x1 convolution of the family with ReLU: ours against oneDNN's (see README.md)."""

from __future__ import annotations

from collections.abc import Callable

import onednn
import pytest
import torch
from element_types import chosen
from torch import Tensor, nn
from torch.nn import functional as F
from traced import Shape, shapes

import seaformer_kernels as sk
from seaformer_kernels import _extension
from seaformer_kernels.bench.implementations import check_close, vector_isas
from seaformer_kernels.ops._element import name_of

if _extension.module is None:
    pytest.skip(f"there is no kernel to time: {_extension.reason}", allow_module_level=True)

SECONDS = 1.0  # a case


def peers(dtype: torch.dtype) -> list[str]:
    """What ours is held against in a type."""
    return [onednn.NAME, "eager"] if onednn.serves(dtype) else ["eager"]


def prepare(shape: Shape, dtype: torch.dtype) -> dict[str, Callable[[], Tensor]]:
    """The implementations by name, on the same map and weights; all give the same result."""
    torch.manual_seed(0)
    channels, out = shape["in_channels"], shape["out_channels"]
    conv = nn.Conv2d(channels, out, 1).requires_grad_(False)
    packed = sk.ops.pack_pointwise((conv.weight, conv.bias), activation="relu", dtype=dtype)
    conv = conv.to(dtype, memory_format=torch.channels_last)
    x = torch.randn(1, channels, shape["height"], shape["width"], dtype=dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    functions = dict.fromkeys(vector_isas(), lambda: sk.ops.pointwise(x, packed, out))
    if onednn.serves(dtype):
        fused = onednn.Convolution(conv, x.shape, "relu")
        functions[onednn.NAME] = lambda: fused(x)
    functions["eager"] = lambda: F.relu_(F.conv2d(x, conv.weight, conv.bias))
    check_close(functions, dtype)
    return functions


def pytest_generate_tests(metafunc):
    variant = sk.list_models()[0] if metafunc.config.getoption("quick") else ""
    cases = [
        pytest.param(shape, dtype, name, id=f"{shape.module}-{name_of(dtype)}-{name}")
        for shape in shapes("pointwise", variant)
        for dtype in chosen(metafunc.config)
        for name in [*vector_isas(), *peers(dtype)]
    ]
    metafunc.parametrize(("shape", "dtype", "implementation"), cases)


def test_pointwise(shape, dtype, implementation, interleaved, layer_threads):
    with torch.inference_mode():
        interleaved(
            f"{shape.module}-{name_of(dtype)}-{layer_threads}thread",
            implementation,
            lambda: prepare(shape, dtype),
            labels={
                "convolution": shape.module,
                "HxWxinxout": shape.text,
                "in": name_of(dtype),
            },
            peers=peers(dtype),
            threads=layer_threads,
            seconds=SECONDS,
            family=f"1x1 convolutions in {name_of(dtype)}, threads: {layer_threads}",
        )
