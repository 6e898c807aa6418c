"""What is behind a detector's maps: the ops against eager PyTorch (see README.md)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

import seaformer_kernels as sk
from seaformer_kernels import _extension
from seaformer_kernels.bench.implementations import forced
from seaformer_kernels.modules.anchors import anchor_sizes
from seaformer_kernels.reference import detections

if _extension.module is None:
    pytest.skip(f"there is no fused op to time: {_extension.reason}", allow_module_level=True)

CLASSES = 80
STRIDES = [8, 16, 32, 64, 128]
BOXES = [20_000, 2_000]
SIZES = [512, 320]
THREADS = [1, 2]
PEERS = ["eager"]
IMPLEMENTATIONS = [*sk.cpu.supported_isas(), *PEERS]


@dataclasses.dataclass(frozen=True)
class Case:
    """Boxes for non-maximum suppression, or a square image whose maps are decoded."""

    op: str
    number: int
    threads: int

    def __str__(self) -> str:
        return f"{self.op}-{self.number}-{self.threads}thread"

    def labels(self) -> dict[str, str]:
        what = "boxes" if self.op == "batched_nms" else "pixels a side"
        return {"op": self.op, "of": f"{self.number} {what}", "threads": str(self.threads)}


def boxes_of(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Groups of some 20 boxes around as many objects, as a detector makes them."""
    random = torch.Generator().manual_seed(count)
    objects = torch.randint(0, max(1, count // 20), (count,), generator=random)
    places = 1000 * torch.rand(count, 2, generator=random)
    extents = 20 + 100 * torch.rand(count, 2, generator=random)
    corner = places[objects] + 0.1 * extents[objects] * torch.randn(count, 2, generator=random)
    boxes = torch.cat((corner, corner + extents[objects]), 1)
    return boxes, torch.rand(count, generator=random), objects % CLASSES


def maps_of(size: int) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Maps of an image of which one logit in some hundred passes the threshold."""
    random = torch.Generator().manual_seed(size)
    sides = [-(-size // stride) for stride in STRIDES]

    def maps(channels: int, mean: float) -> list[Tensor]:
        return [
            (torch.randn(1, channels, side, side, generator=random) + mean).to(
                memory_format=torch.channels_last
            )
            for side in sides
        ]

    return maps(9 * CLASSES, -5.3), maps(36, 0.0), anchor_sizes(STRIDES)


def shrinking_nms(boxes: Tensor, scores: Tensor, classes: Tensor, threshold: float) -> Tensor:
    """As it is written in PyTorch: the best box, then those left that it does not overlap."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = scores.argsort(descending=True, stable=True)
    kept = []
    while order.numel():
        best, order = order[0], order[1:]
        kept.append(best)
        low = torch.maximum(boxes[order, :2], boxes[best, :2])
        high = torch.minimum(boxes[order, 2:], boxes[best, 2:])
        shared = (high - low).clamp(min=0).prod(1)
        overlaps = shared / (area[order] + area[best] - shared) > threshold
        order = order[~overlaps | (classes[order] != classes[best])]
    return torch.stack(kept)


def prepare(case: Case) -> dict[str, Callable[[], object]]:
    """The implementations by name, which agree."""
    if case.op == "batched_nms":
        given = (*boxes_of(case.number), 0.5)
        fused, eager = sk.ops.batched_nms, shrinking_nms
    else:
        given = (*maps_of(case.number), STRIDES, case.number, case.number)
        fused, eager = sk.ops.decode_detections, detections.decode_detections
    functions: dict[str, Callable[[], object]] = dict.fromkeys(
        sk.cpu.supported_isas(), lambda: fused(*given)
    )
    functions["eager"] = lambda: eager(*given)
    expected = _tensors(functions["eager"]())
    for name, function in functions.items():
        with forced(name):
            for got, wanted in zip(_tensors(function()), expected, strict=True):
                assert got.shape == wanted.shape, f"{name}: {got.shape}, not {wanted.shape}"
                agree = torch.isclose(got.double(), wanted.double()).double().mean()
                assert agree > 0.99, f"{name}: only {agree:.1%} are as in eager PyTorch"
    return functions


def _tensors(result: object) -> Sequence[Tensor]:
    return (result,) if isinstance(result, Tensor) else result


def pytest_generate_tests(metafunc):
    quick = metafunc.config.getoption("quick")
    numbers = {"batched_nms": BOXES, "decode_detections": SIZES}
    cases = [
        Case(op, number, threads)
        for op, some in numbers.items()
        for number in (some[:1] if quick else some)
        for threads in THREADS
    ]
    metafunc.parametrize("implementation", IMPLEMENTATIONS)
    metafunc.parametrize("case", cases, ids=str)


def test_detections(case, implementation, interleaved):
    with torch.inference_mode():
        interleaved(
            str(case),
            implementation,
            lambda: prepare(case),
            labels=case.labels(),
            peers=PEERS,
            threads=case.threads,
        )
