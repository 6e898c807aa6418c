"""From a plain model to a fused one for inference: batch norms folded, weights packed."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from seaformer_kernels import _extension
from seaformer_kernels.fused import FusedBlock, Unservable
from seaformer_kernels.models.wrappers import unwrapped
from seaformer_kernels.modules import Stem
from seaformer_kernels.ops._element import code_of
from seaformer_kernels.optimize.convert import Converter, is_part, read_any_element
from seaformer_kernels.optimize.model import OptimizedModel
from seaformer_kernels.optimize.report import Entry, Report
from seaformer_kernels.optimize.whole_graph import whole_network

__all__ = ["Entry", "OptimizedModel", "Report", "optimize"]


@torch.no_grad()
def optimize(
    model: nn.Module,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    whole_graph: bool = False,
    dtype: torch.dtype | None = None,
    keep_float32: Collection[str] = (),
) -> OptimizedModel:
    """A copy of a model for inference, with fused kernels in place of its blocks.

    Batch norms, also SyncBatchNorm and frozen ones of any class, are folded into the convolutions
    before them, and each Stem, InvertedResidual, SeaAttention, Mlp, FusionGate, SegmentationHead,
    UpsamplingHead and ClassificationHead becomes one op. Blocks that no kernel can serve (an own
    forward, forward hooks, parametrizations, batch norm without running statistics, other kernel
    sizes) stay as they are; `report()` of the result names them with the reason.

    The model itself stays untouched, its mode too. The copy is in eval mode for good and its
    parameters require no gradient: optimise again after training. Outputs differ from the plain
    model's by rounding only, and are channels_last.

    With a half type as dtype, weights and maps take half the memory, and cores with arithmetic of
    that type are faster; others compute in float32. What stays plain, means, softmax and other long
    sums are float32 always. Where parts of two types meet, the one behind converts what it reads.

    Args:
        model: from `create_model`, or any module that contains or is a block of ours; float32, on
            the CPU. A module used in several places stays shared. Of DataParallel,
            DistributedDataParallel, a compiled model or AveragedModel, the model inside counts.
        mean, std: of R, G and B in the range 0..255; the stem then normalises, and the model takes
            raw RGB values, float32 or uint8 [B, 3, H, W], such as a channels_last view of an image.
        dtype: of weights and maps: torch.float32 (None is that, too) or torch.float16. The model
            then takes images of float32, of this type and, with a mean and std, of uint8; its
            output is of the type of the part that makes it.
        keep_float32: names of parts that stay float32, such as "decode_head" or
            "backbone.smb1.layer1": of blocks as `report()` has them, or of what they are in.
        whole_graph: one op for the whole network, with the same outputs bit for bit, whose maps
            share memory that stays with the process (`ops.release_memory`). For models of
            `create_model` whose blocks can all be fused; there are no backbone features then.

    Returns:
        A module called like the model. It pickles, copies, compiles and exports; its weights have
        one layout for every processor.

    Warns:
        UserWarning: not one block was fused or folded.

    Raises:
        TypeError: model is not a module.
        ValueError: model is optimised or scripted, or has a compiled part, or holds a tensor that
            is not on the CPU or not float32; or mean and std are not what they should be, or not of
            use; or dtype is none of these, or cannot hold a weight once batch norm is folded; or
            keep_float32 names no block; or whole_graph is asked of a model that cannot have it.
        RuntimeError: whole_graph is asked for, and the native extension is missing.
    """
    if isinstance(model, nn.Module):
        model = unwrapped(model)
    _check_model(model)
    mean, std = _normalisation(mean, std)
    dtype = torch.float32 if dtype is None else dtype
    code_of("optimize", dtype)
    keep_float32 = _names(keep_float32)
    converter = Converter(mean, std, dtype, keep_float32)
    module = converter.convert(_copy(model).eval().requires_grad_(False))
    report = Report(tuple(converter.entries))
    for name in keep_float32:
        if not any(is_part(entry.path, name) for entry in report.entries):
            blocks = ", ".join(repr(entry.path) for entry in report.entries[:3])
            raise ValueError(
                "optimize: expected keep_float32 to name blocks, or what they are in, of which "
                f"there are {blocks or 'none'} ..., got {name!r}."
            )
    if dtype != torch.float32:
        read_any_element(module)
    stems = [entry for entry in report.entries if entry.kind == Stem.__name__]
    plain = [entry for entry in stems if not entry.fused]
    if mean is not None and (plain or not stems):
        got = f"{plain[0].path}, which {plain[0].reason}" if plain else "a model without one"
        raise ValueError(f"optimize: mean and std need a Stem that can be fused, got {got}.")
    result = OptimizedModel(_whole(module, report) if whole_graph else module, report, dtype)
    if not any(entry.fused for entry in report.entries):
        warnings.warn(_nothing(model, report, converter.kinds), stacklevel=3)  # beyond no_grad
    return result


def _nothing(model: nn.Module, report: Report, kinds: list[str]) -> str:
    """The warning that nothing was fused."""
    if report.entries:
        entry = report.entries[0]
        return (
            f"optimize fused nothing: none of {len(report.entries)} blocks could be served, such "
            f"as {entry.path or 'the model itself'}, which {entry.reason}; report() has them all."
        )
    return (
        f"optimize fused nothing: expected a model with blocks of seaformer_kernels.modules "
        f"({', '.join(kinds)}), got {type(model).__name__} without any."
    )


def _whole(module: nn.Module, report: Report) -> nn.Module:
    if _extension.module is None:
        raise RuntimeError(
            f"optimize: whole_graph needs the native extension, but {_extension.reason}"
        )
    if report.plain:
        entry = report.plain[0]
        raise ValueError(
            "optimize: whole_graph needs a model whose blocks can all be fused, got "
            f"{entry.path}, which {entry.reason}."
        )
    try:
        return whole_network(module)
    except Unservable as error:
        raise ValueError(
            f"optimize: whole_graph needs a model as create_model makes it, but {error}."
        ) from None


def _check_model(model: nn.Module) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"optimize: expected a torch.nn.Module, got {type(model).__name__}.")
    for module in model.modules():
        if isinstance(module, OptimizedModel | FusedBlock):
            raise ValueError("optimize: expected a plain model, got one that is optimised already.")
        if isinstance(module, torch.jit.ScriptModule) or hasattr(module, "_orig_mod"):
            raise ValueError(
                "optimize: expected a plain model, got one with a compiled or scripted part; "
                "optimise first, then compile."
            )
    for kind, named in ("parameter", model.named_parameters), ("buffer", model.named_buffers):
        for name, tensor in named():
            fault = _fault(tensor)
            if fault is not None:
                raise ValueError(
                    "optimize: expected float32 parameters and buffers on the CPU, got "
                    f"{kind} {name!r} {fault}."
                )


def _fault(tensor: Tensor) -> str | None:
    if is_lazy(tensor):
        return "without a shape yet"
    if tensor.device.type != "cpu":
        return f"on device {tensor.device}"
    if tensor.is_floating_point() and tensor.dtype != torch.float32:
        return f"of {tensor.dtype}"
    return None


def _normalisation(
    mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    if mean is None and std is None:
        return None, None
    if mean is None or std is None:
        raise ValueError("optimize: expected mean and std, or neither, got only one of them.")
    mean, std = (tuple(float(value) for value in values) for values in (mean, std))
    finite = all(math.isfinite(value) for value in (*mean, *std))
    if len(mean) != 3 or len(std) != 3 or not finite or min(std) <= 0:
        raise ValueError(
            "optimize: expected mean and std as three finite numbers each, std positive, got "
            f"{mean} and {std}."
        )
    return mean, std


def _names(keep_float32: Collection[str]) -> tuple[str, ...]:
    names = (keep_float32,) if isinstance(keep_float32, str) else tuple(keep_float32)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"optimize: expected keep_float32 as names of parts, got {keep_float32!r}.")
    return names


def _copy(model: nn.Module) -> nn.Module:
    # weight_norm and the like keep computed tensors, which deepcopy refuses, as attributes.
    computed = {
        id(value): value.detach().clone()
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    return copy.deepcopy(model, computed)
