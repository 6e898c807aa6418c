"""Int8 by training: weights learn to live with what int8 rounds."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import nn

from seaformer_kernels.models.pretrained.quantization import PREPARE, Quantization
from seaformer_kernels.models.wrappers import unwrapped
from seaformer_kernels.ops._element import code_of
from seaformer_kernels.optimize import OptimizedModel
from seaformer_kernels.optimize.checks import check_model, check_unprepared, normalisation
from seaformer_kernels.optimize.convert import read_any_element
from seaformer_kernels.optimize.whole_graph import whole_or_refused
from seaformer_kernels.quantize.calibration import batches, check_options, limited
from seaformer_kernels.quantize.convert import ToFused, keeps_by_structure, link, prepared
from seaformer_kernels.quantize.ranges import calibrate, settle
from seaformer_kernels.quantize.report import QuantizationReport
from seaformer_kernels.quantize.simulate import SimulatedBlock, SimulatedStem

_SIDE = 64  # of the image that shows which block reads what


def prepare_qat(
    model: nn.Module,
    calibration_data: Any = None,
    *,
    transform: Callable[[Any], Any] | None = None,
    num_samples: int = 300,
    observer: str = "histogram",
    skip: Collection[str] = (),
    equalize: bool = True,
    show_progress: bool = True,
) -> nn.Module:
    """A copy of a model that trains as the int8 model it will be (quantization-aware training).

    Each block that `quantize` makes int8 rounds weights and maps as int8 does; gradients pass as
    if it did not; its batch norms are folded in. Everything else stays. Train it as any model, at
    some hundredth of the learning rate that the model itself was trained with; then `convert` it.
    Ranges of maps are found once and stay.

    To go on after a stop, prepare the plain model again, without images, and load the state dict;
    or save it by `save_pretrained`.

    Args:
        model: as `quantize` takes it.
        calibration_data: as `quantize` takes it; without, ranges are those of the first batch that
            it is called with, or come with a state dict.
        transform, num_samples, observer, skip, equalize, show_progress: as of `quantize`.

    Returns:
        A model of the same class and mode, on normalised images.

    Raises:
        TypeError, ValueError: as `quantize`.
    """
    op = "prepare_qat"
    if isinstance(model, nn.Module):
        model = unwrapped(model)
    check_model(op, model)
    check_unprepared(op, model)
    check_options(op, observer, num_samples)
    network, blocks, known = prepared(op, model, skip, (None, None))
    if calibration_data is None:
        link(network, blocks, torch.zeros(1, 3, _SIDE, _SIDE))
    else:
        data = limited(batches(calibration_data, transform, known, op), num_samples)
        calibrate(op, network, blocks, data, num_samples, observer, equalize, show_progress)
    for block in blocks.values():
        for of in block.maps().values():
            of.forget()
        block.simulating = block.stays is None
    network.requires_grad_(True).train(model.training)
    skip = (skip,) if isinstance(skip, str) else tuple(skip)
    network.quantization = Quantization(skip)  # type: ignore[assignment]  # no tensor
    return network


PREPARE[:] = [lambda plain, skip: prepare_qat(plain, skip=skip)]


@torch.no_grad()
def convert(
    model: nn.Module,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    *,
    rest: torch.dtype = torch.float32,
    whole_graph: bool = False,
) -> OptimizedModel:
    """The int8 model that one of `prepare_qat` was trained to be.

    Args:
        model: of `prepare_qat`, called or loaded since; it stays as it is.
        mean, std: as of `optimize`: the result then takes raw RGB values.
        rest, whole_graph: as of `quantize`.

    Returns:
        As `quantize`.

    Raises:
        TypeError: model is not a module.
        ValueError: it is not one of `prepare_qat`, or knows no ranges yet; or as `optimize`.
    """
    op = "convert"
    if isinstance(model, nn.Module):
        model = unwrapped(model)
    check_model(op, model)
    given = normalisation(op, mean, std)
    code_of(op, rest)
    network = copy.deepcopy(model).eval().requires_grad_(False)
    vars(network).pop("quantization", None)
    blocks = {
        path: block for path, block in network.named_modules() if isinstance(block, SimulatedBlock)
    }
    if not blocks:
        raise ValueError(f"{op}: expected a model of prepare_qat, got a {type(model).__name__}.")
    for path, block in blocks.items():
        if block.stays is None and not float(block.output.scale):
            raise ValueError(
                f"{op}: expected a model that knows its ranges, got one that was never called "
                f"({path or 'the model itself'})."
            )
        if isinstance(block, SimulatedStem):
            block.normalise_with(*given)
        settle(op, path, block)  # weights may have outgrown the limits
    stays = {path: block.stays for path, block in blocks.items() if block.stays}
    module, converter = ToFused.of(network, given, rest, stays, keeps_by_structure(network))
    report = QuantizationReport(tuple(converter.entries))
    if rest != torch.float32:
        read_any_element(module)
    module = whole_or_refused(module, report, op) if whole_graph else module
    return OptimizedModel(module, report, rest)
