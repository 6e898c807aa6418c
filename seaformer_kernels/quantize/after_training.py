"""Int8 after training: ranges from a few images, weights as they are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import nn

from seaformer_kernels.models.wrappers import unwrapped
from seaformer_kernels.ops._element import code_of
from seaformer_kernels.optimize import OptimizedModel, optimize
from seaformer_kernels.optimize.checks import check_model, check_unprepared, normalisation
from seaformer_kernels.optimize.convert import read_any_element
from seaformer_kernels.optimize.report import Entry
from seaformer_kernels.optimize.whole_graph import whole_or_refused
from seaformer_kernels.quantize.calibration import batches, check_options, limited
from seaformer_kernels.quantize.convert import ToFused, keeps_by_structure, prepared
from seaformer_kernels.quantize.errors import Noise
from seaformer_kernels.quantize.ranges import calibrate
from seaformer_kernels.quantize.report import Int8Entry, MapRange, QuantizationReport
from seaformer_kernels.quantize.search import search
from seaformer_kernels.quantize.simulate import SimulatedBlock


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
    map; means, softmax and gates are float32, and so are logits. Of a LightHead the towers become
    such ops, one for each layer and level. Everything else is what `optimize` makes of it.
    `report()` of the result names the blocks with the ranges of their maps and with their errors.

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
            in; of a LightHead all of it.
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
    check_unprepared(op, model)
    given = normalisation(op, mean, std)
    code_of(op, rest)
    check_options(op, observer, num_samples)
    if max_drop is not None and (evaluate is None or not max_drop >= 0):
        raise ValueError(
            f"{op}: expected max_drop from 0 up with evaluate, which it is measured by, got "
            f"{max_drop} and {'none' if evaluate is None else 'one'}."
        )
    network, blocks, known = prepared(op, model, skip, given)
    data = limited(batches(calibration_data, transform, known), num_samples)
    samples, kept = calibrate(
        op, network, blocks, data, num_samples, observer, equalize, show_progress
    )
    for block in blocks.values():
        block.bias_correction = bias_correction
    stays = {path: block.stays for path, block in blocks.items() if block.stays}
    noise = Noise(network, blocks, kept, show_progress)
    by_structure = keeps_by_structure(network)

    def made(kept_out: dict[str, str]) -> tuple[nn.Module, ToFused]:
        return ToFused.of(network, given, rest, kept_out, by_structure)

    evaluated: list[tuple[int | None, float]] = []
    if evaluate is not None:
        evaluated.append((None, float(evaluate(optimize(model, *given)))))
        stays = search(made, evaluate, max_drop, noise, stays, evaluated, rest)
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


def _entry(entry: Entry, block: SimulatedBlock, noise: Noise, stays: dict[str, str]) -> Int8Entry:
    maps = tuple(
        MapRange(name, of.activation, float(of.peaks.max()), of.range, float(of.scale))
        for name, of in block.maps().items()
        if len(of.peaks)
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
