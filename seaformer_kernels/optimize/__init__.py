"""From a plain model to a fused one for inference: batch norms folded, weights packed."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Collection, Sequence

import torch
from torch import nn

from seaformer_kernels.models.wrappers import unwrapped
from seaformer_kernels.modules import Stem
from seaformer_kernels.ops._element import code_of
from seaformer_kernels.optimize.checks import (
    check_model,
    check_unprepared,
    copied,
    normalisation,
)
from seaformer_kernels.optimize.convert import Converter, read_any_element
from seaformer_kernels.optimize.model import OptimizedModel
from seaformer_kernels.optimize.paths import is_part
from seaformer_kernels.optimize.report import Comparison, Entry, Report
from seaformer_kernels.optimize.structure.branches import with_joined_branches
from seaformer_kernels.optimize.structure.probe import compare, does_the_same
from seaformer_kernels.optimize.whole_graph import whole_or_refused

__all__ = ["Comparison", "Entry", "OptimizedModel", "Report", "optimize"]


@torch.no_grad()
def optimize(
    model: nn.Module,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    whole_graph: bool = False,
    dtype: torch.dtype | None = None,
    keep_float32: Collection[str] = (),
    example_inputs: Sequence[object] | None = None,
) -> OptimizedModel:
    """A copy of a model for inference, with fused kernels in place of its blocks.

    Batch norms, also SyncBatchNorm and frozen ones of any class, are folded into the convolutions
    before them, and what one op can do becomes that op: each Stem, InvertedResidual, SeaAttention,
    Mlp, FusionGate, SegmentationHead, UpsamplingHead, ClassificationHead and LightHead of this
    package, and in anyone's model whatever has the structure of one, of a convolution or of an
    `argmax` of resized logits. Parallel branches are joined first, where the model has its own
    method for it, as RepVGG and MobileOne. Each part that is found by structure is tried on random
    maps, and the model on a random image, before it is kept. What no kernel can serve (forward
    hooks, parametrizations, grouped convolutions, code that cannot be traced) stays as it is;
    `report()` of the result names it with the reason.

    The model itself stays untouched, its mode too. The copy is in eval mode for good and its
    parameters require no gradient: optimise again after training. Outputs differ from the plain
    model's by rounding only, and are channels_last.

    With a half type as dtype, weights and maps take half the memory, and cores with arithmetic of
    that type are faster; others compute in float32. What stays plain, means, softmax and other long
    sums are float32 always. Where parts of two types meet, the one behind converts what it reads.

    Args:
        model: any module, float32, on the CPU. A module used in several places stays shared. Of
            DataParallel, DistributedDataParallel, a compiled model or AveragedModel, the model
            inside counts.
        mean, std: of R, G and B in the range 0..255; the stem then normalises, and the model takes
            raw RGB values, float32 or uint8 [B, 3, H, W], such as a channels_last view of an image.
        dtype: of weights and maps: torch.float32 (None is that, too) or torch.float16. The model
            then takes images of float32, of this type and, with a mean and std, of uint8; its
            output is of the type of the part that makes it.
        keep_float32: names of parts that stay float32, such as "decode_head" or
            "backbone.smb1.layer1": of blocks as `report()` has them, or of what they are in.
        whole_graph: one op for the whole network, with the same outputs bit for bit, whose maps
            share memory that stays with the process (`ops.release_memory`). For models
            that are wholly blocks and steps that there are kernels for; those of `create_model`
            have no backbone features then.
        example_inputs: arguments of the model, on which the outputs of both are compared: see
            `comparison` of the report.

    Returns:
        A module called like the model. It pickles, copies, compiles and exports; its weights have
        one layout for every processor.

    Warns:
        UserWarning: not one block was fused or folded.

    Raises:
        TypeError: model is not a module.
        ValueError: model is optimised or scripted, or one of `prepare_qat`, or has a compiled part,
            or holds a tensor that is not on the CPU or not float32; or mean and std are not what
            they should be, or not of use; or dtype is none of these, or cannot hold a weight once
            batch norm is folded; or keep_float32 names no block; or whole_graph is asked of a model
            that cannot have it; or the model does not take example_inputs.
        RuntimeError: whole_graph is asked for, and the native extension is missing.
    """
    if isinstance(model, nn.Module):
        model = unwrapped(model)
    check_model("optimize", model)
    check_unprepared("optimize", model)
    mean, std = normalisation("optimize", mean, std)
    dtype = torch.float32 if dtype is None else dtype
    code_of("optimize", dtype)
    keep_float32 = _names(keep_float32)
    converter = Converter(mean, std, dtype, keep_float32)
    plain = with_joined_branches(copied(model))
    module = converter.convert_by_structure(converter.convert(plain))
    tried = converter.found_by_structure and dtype == torch.float32 and mean is None
    if tried and does_the_same(copied(model), module) is False:
        converter = Converter(mean, std, dtype, keep_float32)
        module = converter.convert(copied(model))
        reason = "makes something else of an image once its parts are fused"
        converter.entries.append(Entry("", type(model).__name__, reason))
    report = Report(tuple(converter.entries))
    if example_inputs is not None:
        comparison = compare(copied(model), module, example_inputs)
        report = dataclasses.replace(report, comparison=comparison)
    for name in keep_float32:
        if not any(is_part(entry.path, name) for entry in report.entries):
            blocks = ", ".join(repr(entry.path) for entry in report.entries[:3])
            raise ValueError(
                "optimize: expected keep_float32 to name blocks, or what they are in, of which "
                f"there are {blocks or 'none'} ..., got {name!r}."
            )
    if dtype != torch.float32:
        read_any_element(module)
    plain_stem = next((e for e in report.plain if e.kind == Stem.__name__), None)
    has_stem = converter.normalizes or any(isinstance(part, Stem) for part in model.modules())
    if mean is not None and (plain_stem or not has_stem):
        got = (
            f"{plain_stem.path}, which {plain_stem.reason}"
            if plain_stem
            else ("a model without one")
        )
        raise ValueError(f"optimize: mean and std need a Stem that can be fused, got {got}.")
    result = OptimizedModel(
        whole_or_refused(module, report) if whole_graph else module, report, dtype
    )
    if not any(entry.fused for entry in report.entries):
        warnings.warn(_nothing(model, report), stacklevel=3)  # beyond no_grad
    return result


def _nothing(model: nn.Module, report: Report) -> str:
    """The warning that nothing was fused."""
    if report.entries:
        entry = report.entries[0]
        return (
            f"optimize fused nothing: none of {len(report.entries)} blocks could be served, such "
            f"as {entry.path or 'the model itself'}, which {entry.reason}; report() has them all."
        )
    return (
        "optimize fused nothing: expected a model with convolutions or linear layers, got "
        f"{type(model).__name__} without any."
    )


def _names(keep_float32: Collection[str]) -> tuple[str, ...]:
    names = (keep_float32,) if isinstance(keep_float32, str) else tuple(keep_float32)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"optimize: expected keep_float32 as names of parts, got {keep_float32!r}.")
    return names
