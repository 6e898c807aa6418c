"""Models of int8: calibrated after training, or trained as such."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seaformer_kernels.data import IMAGENET_MEAN, IMAGENET_STD
from seaformer_kernels.fused import Unservable
from seaformer_kernels.models.wrappers import unwrapped
from seaformer_kernels.ops._element import code_of
from seaformer_kernels.optimize import OptimizedModel, optimize
from seaformer_kernels.optimize.checks import check_model, copied, normalisation
from seaformer_kernels.optimize.convert import is_part, read_any_element
from seaformer_kernels.optimize.whole_graph import whole_or_refused
from seaformer_kernels.quantize.calibration import batches, check_count, limited, progress
from seaformer_kernels.quantize.convert import Simulator, ToFused, link
from seaformer_kernels.quantize.equalize import equalize as equalize_block
from seaformer_kernels.quantize.errors import Noise
from seaformer_kernels.quantize.observers import OBSERVERS
from seaformer_kernels.quantize.report import Int8Entry, MapRange, QuantizationReport
from seaformer_kernels.quantize.simulate import (
    EmptyRange,
    SimulatedBlock,
    SimulatedInvertedResidual,
)

__all__ = ["Int8Entry", "MapRange", "QuantizationReport", "quantize"]

_LOOK = 32  # images that channels are equalized by
_MEASURED = 8  # images that errors are measured on


@torch.no_grad()
def quantize(
    model: nn.Module,
    calibration_data: Any,
    *,
    transform: Callable[[Any], Any] | None = None,
    num_samples: int = 300,
    observer: str = "histogram",
    skip: Collection[str] = (),
    equalize: bool = True,
    bias_correction: bool = True,
    evaluate: Callable[[nn.Module], float] | None = None,
    max_drop: float | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    rest: torch.dtype = torch.float32,
    whole_graph: bool = False,
    show_progress: bool = True,
) -> OptimizedModel:
    """A copy of a model for inference whose blocks are int8.

    Each Stem, InvertedResidual, Mlp, SeaAttention, FusionGate and SegmentationHead becomes one op
    on int8 maps and weights, with a scale for each output channel of the weights and one for each
    map; means, softmax and gates are float32, and so are logits. Everything else is what `optimize`
    makes of it. `report()` of the result names the blocks with the ranges of their maps and with
    their errors.

    Args:
        model: as `optimize` takes it.
        calibration_data: images as the model will see them, without labels: a folder of them, or
            any iterable of images [3, H, W] or batches [B, 3, H, W], also as the first of a tuple
            or dict, such as a DataLoader; uint8 ones are raw RGB values, others are normalised.
        transform: of each item of it.
        num_samples: how many images are looked at.
        observer: how the range of a map is found: "histogram" clips what would cost more than it
            is worth, "minmax" nothing.
        skip: names of parts that stay float, such as "backbone.smb1.stem_block", or what they are
            in.
        equalize: whether channels between two layers are given ranges alike, where that changes
            nothing that is computed.
        bias_correction: whether biases make up for what rounding weights does to means.
        evaluate: tells how good a model is, such as its mIoU: larger is better.
        max_drop: with it, how much less than the float model that may be. The worst blocks go
            back to float until it is met.
        mean, std: as of `optimize`: the result then takes raw RGB values.
        rest: of weights and maps of what is not int8: float32 or float16.
        whole_graph: as of `optimize`.
        show_progress: whether there is a bar on a terminal, by rich, if that is installed.

    Returns:
        A module called like the model, as `optimize` returns it.

    Raises:
        TypeError: an argument has a wrong type.
        ValueError: there are no images, or too few, or they hold NaN, or a map of the model is
            zero for all of them; or no int8 kernel serves the model; or skip names no block; or
            evaluate and max_drop do not fit; or as `optimize`.
    """
    op = "quantize"
    if isinstance(model, nn.Module):
        model = unwrapped(model)
    check_model(op, model)
    given = normalisation(op, mean, std)
    code_of(op, rest)
    if observer not in OBSERVERS:
        raise ValueError(f"{op}: expected observer {' or '.join(OBSERVERS)}, got {observer!r}.")
    if num_samples < 1:
        raise ValueError(f"{op}: expected num_samples from 1 up, got {num_samples}.")
    if max_drop is not None and (evaluate is None or not max_drop >= 0):
        raise ValueError(
            f"{op}: expected max_drop from 0 up with evaluate, which it is measured by, got "
            f"{max_drop} and {'none' if evaluate is None else 'one'}."
        )
    skip = (skip,) if isinstance(skip, str) else tuple(skip)
    facts = getattr(model, "facts", None)
    known = (facts.mean, facts.std) if facts else (IMAGENET_MEAN, IMAGENET_STD)
    known = known if given[0] is None else given
    simulator = Simulator(*known, given[0] is not None, skip)
    network = simulator.convert(copied(model))
    blocks = simulator.blocks
    _check_blocks(op, model, blocks, skip)
    data = limited(batches(calibration_data, transform, known), num_samples)
    samples, kept = _calibrate(
        network, blocks, data, num_samples, observer, equalize, show_progress
    )
    for block in blocks.values():
        block.bias_correction = bias_correction
    stays = {path: block.stays for path, block in blocks.items() if block.stays}
    noise = Noise(network, blocks, kept, show_progress)

    def made(kept_out: dict[str, str]) -> tuple[nn.Module, ToFused]:
        converter = ToFused(*given, rest, kept_out)
        # Stays as it is for the next one.
        return converter.convert(copy.deepcopy(network).requires_grad_(False)), converter

    evaluated: list[tuple[int | None, float]] = []
    if evaluate is not None:
        evaluated.append((None, float(evaluate(optimize(model, *given)))))
        stays = _search(made, evaluate, max_drop, noise, stays, evaluated, rest)
    module, converter = made(stays)
    entries = tuple(
        _entry(entry, blocks[entry.path], noise, stays) if entry.path in blocks else entry
        for entry in converter.entries
    )
    report = QuantizationReport(
        entries,
        samples=samples,
        signal_to_noise=noise.of_all(stays),
        evaluated=tuple(evaluated),
    )
    if rest != torch.float32:
        read_any_element(module)
    module = whole_or_refused(module, report, op) if whole_graph else module
    return OptimizedModel(module, report, rest)


def _check_blocks(
    op: str, model: nn.Module, blocks: dict[str, SimulatedBlock], skip: tuple[str, ...]
) -> None:
    for name in skip:
        if not any(is_part(path, name) for path, _ in model.named_modules()):
            raise ValueError(f"{op}: expected skip to name parts of the model, got {name!r}.")
    if not blocks:
        raise ValueError(
            f"{op}: expected a model with blocks that there are int8 kernels for (Stem, "
            f"InvertedResidual, SeaAttention, ...), got {type(model).__name__} without any"
            f"{' that is not skipped' if skip else ''}."
        )


def _calibrate(
    network: nn.Module,
    blocks: dict[str, SimulatedBlock],
    data: Any,
    num_samples: int,
    observer: str,
    equalizes: bool,
    show_progress: bool,
) -> tuple[int, list[Tensor]]:
    """Sets all scales; returns how many images there were, and some of them."""
    op = "quantize"
    first: list[Tensor] = []
    for x in data:
        first.append(x)
        if sum(map(len, first)) >= _LOOK:
            break
    check_count(op, sum(map(len, first)), num_samples)
    order = link(network, blocks, first[0][:1])
    maps = {id(of): of for path in order for of in blocks[path].maps().values()}
    if equalizes:
        _observe(network, blocks, maps, first, observer)
        for path in order:
            if isinstance(blocks[path], SimulatedInvertedResidual):
                equalize_block(blocks[path])
        for of in maps.values():
            of.forget()
    steps = progress("Calibrating", itertools.chain(first, data), num_samples, show_progress)
    samples = _observe(network, blocks, maps, steps, observer)
    for path in order:
        settle(path, blocks[path])
    return samples, _some(first)


def settle(path: str, block: SimulatedBlock) -> None:
    """Sets the scales of a block's maps; those of the blocks before it are set."""
    try:
        # That of a map which another block writes is there, and at least what it can be.
        for name in block.reads:
            of = block.maps()[name]
            if not float(of.scale):
                of.settle()
        block.settle()
    except EmptyRange:
        raise ValueError(
            f"quantize: expected maps that are not zero throughout, got one in "
            f"{path or 'the model itself'}; are the images of calibration_data black, or the "
            f"weights zero? skip=[{path!r}] keeps that part as it is."
        ) from None
    except Unservable as error:
        block.stays = str(error)


def _observe(
    network: nn.Module,
    blocks: dict[str, SimulatedBlock],
    maps: dict[int, Any],
    images: Any,
    observer: str,
) -> int:
    for of in maps.values():
        of.observer = OBSERVERS[observer]()
    for block in blocks.values():
        block.observing = True
    count = 0
    for x in images:
        network(x)
        count += len(x)
    for block in blocks.values():
        block.observing = False
    return count


def _some(first: list[Tensor]) -> list[Tensor]:
    """The first few images, one by one."""
    return [x[None] for batch in first for x in batch][:_MEASURED]


def _search(
    made: Callable,
    evaluate: Callable[[nn.Module], float],
    max_drop: float | None,
    noise: Noise,
    stays: dict[str, str],
    evaluated: list[tuple[int | None, float]],
    rest: torch.dtype,
) -> dict[str, str]:
    """Which blocks are to stay float, with the reason."""
    worst = [path for path in noise.worst_first() if path not in stays]
    reason = "would take too much from what evaluate says"

    def with_kept(count: int) -> dict[str, str]:
        return stays | dict.fromkeys(worst[:count], reason)

    def fits(count: int) -> bool:
        kept_out = with_kept(count)
        module, converter = made(kept_out)
        model = OptimizedModel(module, QuantizationReport(tuple(converter.entries)), rest)
        value = float(evaluate(model))
        evaluated.append((len(kept_out), value))
        return max_drop is None or evaluated[0][1] - value <= max_drop or math.isnan(value)

    if fits(0):
        return stays
    # The drop falls, more or less, with every block that is kept.
    low, high = 0, len(worst)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return with_kept(high)


def _entry(entry: Any, block: SimulatedBlock, noise: Noise, stays: dict[str, str]) -> Int8Entry:
    maps = tuple(
        MapRange(name, of.activation, float(of.peaks.max()), of.range, float(of.scale))
        for name, of in block.maps().items()
        if of.peaks is not None
    )
    return Int8Entry(
        entry.path,
        entry.kind,
        entry.reason,
        entry.dtype,
        maps,
        noise.of_block[entry.path],
        noise.of_output[entry.path],
        stays.get(entry.path),
    )
