"""Every block of the family, fused, against plain PyTorch and oneDNN (see README.md)."""

from __future__ import annotations

from collections.abc import Callable

import onednn
import pytest
import torch
from blocks import make_block
from element_types import chosen
from torch import Tensor
from traced import Shape, shapes

import seaformer_kernels as sk
from seaformer_kernels import _extension
from seaformer_kernels.bench.implementations import check_close, vector_isas
from seaformer_kernels.ops._element import name_of

if _extension.module is None:
    pytest.skip(f"there is no fused op to time: {_extension.reason}", allow_module_level=True)

KINDS = [
    "stem",
    "inverted_residual",
    "sea_attention",
    "fusion_gate",
    "segmentation_head",
    "classification_head",
]
SECONDS = 2.5  # a case


def peers(shape: Shape, dtype: torch.dtype) -> list[str]:
    """What a block is held against; not all have a sequence of convolutions."""
    eager_only = shape.kind in ("sea_attention", "classification_head") or not onednn.serves(dtype)
    return ["eager"] if eager_only else [onednn.NAME, "eager"]


def prepare(shape: Shape, dtype: torch.dtype) -> dict[str, Callable[[], Tensor]]:
    """The implementations by name, on the same maps and weights; all give the same result."""
    block = make_block(shape, dtype)
    functions = dict.fromkeys(vector_isas(), lambda: block.fused(*block.inputs))
    if block.onednn is not None:
        functions[onednn.NAME] = lambda: block.onednn(*block.inputs)
    functions["eager"] = lambda: block.eager(*block.inputs)
    check_close(functions, dtype)
    return functions


def pytest_generate_tests(metafunc):
    variant = sk.list_models()[0] if metafunc.config.getoption("quick") else ""
    cases = [
        pytest.param(shape, dtype, name, id=f"{shape.module}-{name_of(dtype)}-{name}")
        for kind in KINDS
        for shape in shapes(kind, variant)
        for dtype in chosen(metafunc.config)
        for name in [*vector_isas(), *peers(shape, dtype)]
    ]
    metafunc.parametrize(("shape", "dtype", "implementation"), cases)


def test_block(shape, dtype, implementation, interleaved, layer_threads):
    kind = "mlp" if shape.sizes.get("mlp") else shape.kind
    with torch.inference_mode():
        interleaved(
            f"{shape.module}-{name_of(dtype)}-{layer_threads}thread",
            implementation,
            lambda: prepare(shape, dtype),
            labels={
                "block": kind,
                "module": shape.module,
                "sizes": shape.text,
                "in": name_of(dtype),
            },
            peers=peers(shape, dtype),
            threads=layer_threads,
            seconds=SECONDS,
            family=f"{kind} in {name_of(dtype)}, threads: {layer_threads}",
        )
