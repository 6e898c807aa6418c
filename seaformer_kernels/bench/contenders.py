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
from seaformer_kernels.bench.models import CALIBRATED, calibration_images, segmenter
from seaformer_kernels.bench.peers import PEERS
from seaformer_kernels.bench.tables import WHOLE_GRAPH
from seaformer_kernels.ops._element import name_of

# The largest difference from plain PyTorch in float32, as a share of its largest logit; the root of
# the mean square of the differences, as a share of that of the logits; and the share of labels that
# may differ, where two classes are equal but for rounding.
LOGITS_TOLERANCE = 1e-2
MEAN_TOLERANCE = 1e-3
LABELS_TOLERANCE = 1e-3
# In a half type each of these, as a multiple of the type's eps: random weights amplify the rounding
# of one block in the next. Plain PyTorch in the type is 16 eps away in the mean.
ROUNDINGS = 64
# In int8, share of each, as random weights and images of noise lose half to it whoever rounds: this
# tells another network, and `seaformer evaluate` how good one is.
INT8_TOLERANCE = 0.75


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


class NotInType(RuntimeError):
    """A runtime that does not calculate in this element type here."""


def load_ours(
    plain: nn.Module,
    image: Tensor,
    output: str,
    isa: str,
    whole_graph: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Contender:
    """`optimize` or `quantize` of the plain model, and its first call on an instruction set."""
    start = time.perf_counter()
    if dtype == torch.int8:
        images = calibration_images(*image.shape[2:])
        model = sk.quantize(
            segmenter(plain),
            images,
            num_samples=CALIBRATED,
            whole_graph=whole_graph,
            show_progress=False,
        )
    else:
        model = sk.optimize(segmenter(plain), whole_graph=whole_graph, dtype=dtype)
    load_s = time.perf_counter() - start

    def call() -> Tensor:
        return model.predict(image) if output == "labels" else model(image)

    with forced(isa):
        return Contender(call, None, load_s, _seconds(call), model)


def load_all_ours(
    plain: nn.Module, image: Tensor, output: str, isas: Iterable[str], dtype: torch.dtype
) -> dict[str, Contender]:
    """Ours by the names of the record: on every instruction set, op by op and as a whole graph."""
    return {
        f"{isa} {WHOLE_GRAPH}" if whole else isa: load_ours(plain, image, output, isa, whole, dtype)
        for isa in isas
        for whole in (False, True)
    }


class Converter:
    """Converts models for peers, each only once: cases differ in threads, and peers share forms."""

    def __init__(self) -> None:
        self._made: dict[tuple, tuple[Any, float]] = {}

    def convert(
        self,
        name: str,
        key: Hashable,
        plain: nn.Module,
        image: Tensor,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Has the form that a peer loads.

        Args:
            name: of `PEERS`.
            key: tells plain models and sizes of images apart.
            plain, image: what is converted, and for what.
            dtype: of int8, whose form is one of its own.
        """
        peer, form = PEERS[name], _form(name, key, dtype)
        if peer.convert is not None and form not in self._made:
            start = time.perf_counter()
            converted = peer.convert(plain, image)
            if dtype == torch.int8 and peer.to_int8 is not None:
                converted = peer.to_int8(converted, calibration_images(*image.shape[2:]))
            self._made[form] = converted, time.perf_counter() - start

    def get(
        self, name: str, key: Hashable, plain: nn.Module, dtype: torch.dtype = torch.float32
    ) -> tuple[Any, float | None]:
        """What `PEERS[name].load` takes, and the seconds that converting took."""
        return self._made.get(_form(name, key, dtype), (plain, None))


def _form(name: str, key: Hashable, dtype: torch.dtype) -> tuple:
    """Tells converted models apart."""
    peer = PEERS[name]
    return peer.convert, peer.to_int8 if dtype == torch.int8 else None, key


def load_peer(
    name: str,
    converted: tuple[Any, float | None],
    image: Tensor,
    threads: int,
    dtype: torch.dtype,
) -> Contender:
    """A peer of `PEERS`, of what `Converter.get` returned, for images of this size.

    Raises:
        NotInType: it would calculate in float32 whatever the type.
    """
    peer = PEERS[name]
    form, convert_s = converted
    start = time.perf_counter()
    infer = peer.load(form, image, threads, dtype)
    load_s = time.perf_counter() - start

    def call() -> Tensor:
        return infer(image)

    first_call_s = _seconds(call)
    if peer.hinted and dtype not in (torch.float32, torch.int8):
        wide = peer.load(form, image, threads, torch.float32)
        if torch.equal(call(), wide(image)):
            raise NotInType(f"asked for {name_of(dtype)} it calculates in float32 here")
    return Contender(call, convert_s, load_s, first_call_s)


def check(name: str, result: Tensor, expected: Tensor, dtype: torch.dtype = torch.float32) -> None:
    """Raises Mismatch unless the result is plain PyTorch's: logits to rounding, labels nearly all.

    Args:
        name: what the message calls the implementation.
        result, expected: logits of a floating-point dtype, or labels.
        dtype: that the result was calculated in; expected is plain PyTorch's of float32.
    """
    if result.shape != expected.shape:
        raise Mismatch(f"{name}: expected the shape {[*expected.shape]}, got {[*result.shape]}")
    rounding = _rounding(dtype)
    if not expected.is_floating_point():
        agreement = (result == expected).float().mean().item()
        if agreement <= 1 - max(LABELS_TOLERANCE, rounding):
            raise Mismatch(f"{name}: only {agreement:.3%} of the labels are plain PyTorch's")
        return
    difference = result.float() - expected
    for what, measure, share in (
        ("", lambda x: x.abs().max().item(), LOGITS_TOLERANCE),
        (" in the mean", lambda x: x.square().mean().sqrt().item(), MEAN_TOLERANCE),
    ):
        error, allowed = measure(difference), max(share, rounding) * measure(expected)
        if not error <= allowed:
            raise Mismatch(
                f"{name}: differs from plain PyTorch by {error:.3g}{what}, allowed {allowed:.3g}"
            )


def _rounding(dtype: torch.dtype) -> float:
    """What a type may lose, as a share."""
    if dtype == torch.int8:
        return INT8_TOLERANCE
    return 0.0 if dtype == torch.float32 else ROUNDINGS * torch.finfo(dtype).eps


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def expected_output(plain: nn.Module, image: Tensor) -> Tensor:
    """What every implementation has to give."""
    with torch.inference_mode():
        return plain(image)
