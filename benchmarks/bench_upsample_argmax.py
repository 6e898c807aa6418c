"""Labels from low-resolution logits: the fused op against eager PyTorch (see README.md)."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from element_types import chosen
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

import seaformer_kernels as sk
from seaformer_kernels import _extension
from seaformer_kernels.bench.implementations import forced
from seaformer_kernels.ops._element import name_of

if _extension.module is None:
    pytest.skip(f"there is no fused op to time: {_extension.reason}", allow_module_level=True)

# classes, height and width of the logits, size of the labels; --quick takes the first.
SHAPES = [
    (150, (64, 64), (512, 512)),  # ADE20K, 1/8 of the image
    (19, (128, 256), (1024, 2048)),  # Cityscapes, 1/8 of the image
]
LOGITS = ["smooth", "noise"]
LAYOUTS = ["channels_last", "contiguous"]
THREADS = [1, 2]

PEERS = ["eager_argmax", "eager_max"]
IMPLEMENTATIONS = [*sk.cpu.supported_isas(), *PEERS]

# Where two classes are equal but for rounding, either label is right.
MIN_AGREEMENT = 0.9999


@dataclasses.dataclass(frozen=True)
class Case:
    classes: int
    in_size: tuple[int, int]
    out_size: tuple[int, int]
    logits: str
    layout: str
    threads: int
    dtype: torch.dtype

    @property
    def shape(self) -> str:
        (h, w), (out_h, out_w) = self.in_size, self.out_size
        return f"{h}x{w}x{self.classes}-{out_h}x{out_w}"

    def __str__(self) -> str:
        named = f"{self.shape}-{self.logits}-{self.layout}-{self.threads}thread"
        return f"{named}-{name_of(self.dtype)}"

    def labels(self) -> dict[str, str]:
        return {
            "case": self.shape,
            "threads": str(self.threads),
            "layout": self.layout,
            "logits": self.logits,
            "in": name_of(self.dtype),
            "extra KB": f"{self.extra_bytes() / 1024:.0f}",
        }

    def extra_bytes(self) -> int:
        """Memory that the fused op takes at its peak beside its input and output."""
        return _extension.module.upsample_argmax_workspace(
            1,
            self.classes,
            self.in_size,
            self.out_size,
            self.threads,
            # Rows of a half type are copied, as those of other layouts are.
            channels_last=self.layout == "channels_last" and self.dtype == torch.float32,
        )


def make_logits(case: Case) -> Tensor:
    """White noise, or noise blurred over 4 source pixels and brought to a deviation of 4."""
    logits = np.random.default_rng(1).standard_normal((case.classes, *case.in_size))
    if case.logits == "smooth":
        logits = ndimage.gaussian_filter(logits, sigma=(0, 4, 4), mode="wrap")
        logits -= logits.mean(axis=(1, 2), keepdims=True)
        logits *= 4 / logits.std(axis=(1, 2), keepdims=True)
    formats = {
        "channels_last": torch.channels_last,
        "contiguous": torch.contiguous_format,
    }
    tensor = torch.from_numpy(logits).float()[None]
    return tensor.to(case.dtype).contiguous(memory_format=formats[case.layout])


def prepare(case: Case) -> dict[str, Callable[[], Tensor]]:
    """The implementations by name, on the same logits; all of them give the same labels."""
    logits = make_logits(case)

    def resized() -> Tensor:
        return F.interpolate(logits, case.out_size, mode="bilinear", align_corners=False)

    def fused() -> Tensor:
        return sk.ops.upsample_argmax(logits, case.out_size)

    functions = dict.fromkeys(sk.cpu.supported_isas(), fused)
    functions["eager_argmax"] = lambda: resized().argmax(dim=1)
    functions["eager_max"] = lambda: resized().max(dim=1).indices

    # Of the values that the type holds, resized in float32 as ours does; eager rounds them.
    expected = F.interpolate(
        logits.float(), case.out_size, mode="bilinear", align_corners=False
    ).argmax(dim=1)
    for name, function in functions.items():
        with forced(name):
            agreement = (function() == expected).float().mean().item()
        rounding = 4 * torch.finfo(case.dtype).eps if name in PEERS else 0
        least = MIN_AGREEMENT - rounding
        assert agreement > least, f"{name}: only {agreement:.3%} of the labels are right"
    return functions


def pytest_generate_tests(metafunc):
    shapes = SHAPES[:1] if metafunc.config.getoption("quick") else SHAPES
    product = itertools.product(shapes, LOGITS, LAYOUTS, THREADS, chosen(metafunc.config))
    cases = [Case(*shape, *rest) for shape, *rest in product]
    metafunc.parametrize("implementation", IMPLEMENTATIONS)
    metafunc.parametrize("case", cases, ids=str)


def test_upsample_argmax(case, implementation, interleaved):
    with torch.inference_mode():
        interleaved(
            str(case),
            implementation,
            lambda: prepare(case),
            labels=case.labels(),
            peers=PEERS,
            threads=case.threads,
        )
