"""What a case times: ours on each instruction set, and peers, each loaded and checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import seaformer_kernels as sk
from seaformer_kernels.bench.implementations import forced
from seaformer_kernels.bench.models import segmenter
from seaformer_kernels.bench.peers import PEERS
from seaformer_kernels.bench.tables import WHOLE_GRAPH

# The largest difference from plain PyTorch, as a share of its largest logit; and the root of the
# mean square of the differences, as a share of that of the logits. Random weights amplify rounding
# in places: plain PyTorch itself is up to 3e-4 of the largest logit from its result in float64.
LOGITS_TOLERANCE = 1e-2
MEAN_TOLERANCE = 1e-3
# Where two classes are equal but for rounding, either label is right.
MIN_AGREEMENT = 0.999


@dataclass(frozen=True)
class Contender:
    """An implementation that is ready to run.

    Attributes:
        call: maps the case's image to its output.
        convert_s: seconds for a form of the model that serves every machine; None if it needs none.
        load_s: seconds from there, or from the plain model, to one that runs.
        first_call_s: seconds of its first call.
        model: what `optimize` made; None for peers.
    """

    call: Callable[[], Tensor]
    convert_s: float | None
    load_s: float
    first_call_s: float
    model: nn.Module | None = None


class Mismatch(RuntimeError):
    """An implementation computed something else than plain PyTorch."""


def load_ours(
    plain: nn.Module, image: Tensor, output: str, isa: str, whole_graph: bool = False
) -> Contender:
    """`optimize` of the plain model, and its first call on an instruction set."""
    start = time.perf_counter()
    model = sk.optimize(segmenter(plain), whole_graph=whole_graph)
    load_s = time.perf_counter() - start

    def call() -> Tensor:
        return model.predict(image) if output == "labels" else model(image)

    with forced(isa):
        return Contender(call, None, load_s, _seconds(call), model)


def load_all_ours(
    plain: nn.Module, image: Tensor, output: str, isas: Iterable[str]
) -> dict[str, Contender]:
    """Ours by the names of the record: on every instruction set, op by op and as a whole graph."""
    return {
        f"{isa} {WHOLE_GRAPH}" if whole else isa: load_ours(plain, image, output, isa, whole)
        for isa in isas
        for whole in (False, True)
    }


class Converter:
    """Converts models for peers, each only once: cases differ in threads, and peers share forms."""

    def __init__(self) -> None:
        self._made: dict[tuple, tuple[Any, float]] = {}

    def convert(self, name: str, key: Hashable, plain: nn.Module, image: Tensor) -> None:
        """Has the form that a peer loads.

        Args:
            name: of `PEERS`.
            key: tells plain models and sizes of images apart.
        """
        convert = PEERS[name].convert
        if convert is not None and (convert, key) not in self._made:
            start = time.perf_counter()
            converted = convert(plain, image)
            self._made[convert, key] = converted, time.perf_counter() - start

    def get(self, name: str, key: Hashable, plain: nn.Module) -> tuple[Any, float | None]:
        """What `PEERS[name].load` takes, and the seconds that converting took."""
        return self._made.get((PEERS[name].convert, key), (plain, None))


def load_peer(
    name: str, converted: tuple[Any, float | None], image: Tensor, threads: int
) -> Contender:
    """A peer of `PEERS`, of what `Converter.get` returned, for images of this size."""
    peer = PEERS[name]
    form, convert_s = converted
    start = time.perf_counter()
    infer = peer.load(form, image, threads)
    load_s = time.perf_counter() - start

    def call() -> Tensor:
        return infer(image)

    return Contender(call, convert_s, load_s, _seconds(call))


def check(name: str, result: Tensor, expected: Tensor) -> None:
    """Raises Mismatch unless the result is plain PyTorch's: logits to rounding, labels nearly all.

    Args:
        name: what the message calls the implementation.
        result, expected: logits of a floating-point dtype, or labels.
    """
    if result.shape != expected.shape:
        raise Mismatch(f"{name}: expected the shape {[*expected.shape]}, got {[*result.shape]}")
    if not expected.is_floating_point():
        agreement = (result == expected).float().mean().item()
        if agreement <= MIN_AGREEMENT:
            raise Mismatch(f"{name}: only {agreement:.3%} of the labels are plain PyTorch's")
        return
    difference = result - expected
    for what, measure, share in (
        ("", lambda x: x.abs().max().item(), LOGITS_TOLERANCE),
        (" in the mean", lambda x: x.square().mean().sqrt().item(), MEAN_TOLERANCE),
    ):
        error, allowed = measure(difference), share * measure(expected)
        if not error <= allowed:
            raise Mismatch(
                f"{name}: differs from plain PyTorch by {error:.3g}{what}, allowed {allowed:.3g}"
            )


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def expected_output(plain: nn.Module, image: Tensor) -> Tensor:
    """What every implementation has to give."""
    with torch.inference_mode():
        return plain(image)
