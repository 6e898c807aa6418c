"""Every 1x1 convolution of the family with ReLU: ours against oneDNN's (see README.md)."""

from __future__ import annotations

from collections.abc import Callable

import onednn
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from traced import Shape, shapes

import seaformer_kernels as sk
from seaformer_kernels import _extension
from seaformer_kernels.bench.implementations import check_close, vector_isas

if _extension.module is None:
    pytest.skip(f"there is no kernel to time: {_extension.reason}", allow_module_level=True)

PEERS = [onednn.NAME, "eager"]
SECONDS = 1.0  # a case


def prepare(shape: Shape) -> dict[str, Callable[[], Tensor]]:
    """The implementations by name, on the same map and weights; all give the same result."""
    torch.manual_seed(0)
    channels, out = shape["in_channels"], shape["out_channels"]
    conv = nn.Conv2d(channels, out, 1).requires_grad_(False)
    packed = sk.ops.pack_pointwise((conv.weight, conv.bias), activation="relu")
    conv = conv.to(memory_format=torch.channels_last)
    x = torch.randn(1, channels, shape["height"], shape["width"])
    x = x.contiguous(memory_format=torch.channels_last)
    fused = onednn.Convolution(conv, x.shape, "relu")
    functions = dict.fromkeys(vector_isas(), lambda: sk.ops.pointwise(x, packed, out))
    functions[onednn.NAME] = lambda: fused(x)
    functions["eager"] = lambda: F.relu_(F.conv2d(x, conv.weight, conv.bias))
    check_close(functions)
    return functions


def pytest_generate_tests(metafunc):
    variant = sk.list_models()[0] if metafunc.config.getoption("quick") else ""
    metafunc.parametrize("implementation", [*vector_isas(), *PEERS])
    metafunc.parametrize("shape", shapes("pointwise", variant), ids=lambda s: s.module)


def test_pointwise(shape, implementation, interleaved, layer_threads):
    with torch.inference_mode():
        interleaved(
            f"{shape.module}-{layer_threads}thread",
            implementation,
            lambda: prepare(shape),
            labels={"convolution": shape.module, "HxWxinxout": shape.text},
            peers=PEERS,
            threads=layer_threads,
            seconds=SECONDS,
            family=f"1x1 convolutions, threads: {layer_threads}",
        )
