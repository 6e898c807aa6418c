"""What models must be to be changed for inference, and copies of them."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from seaformer_kernels.fused import FusedBlock
from seaformer_kernels.models.pretrained.quantization import quantization_of
from seaformer_kernels.optimize.model import OptimizedModel


def check_model(op: str, model: nn.Module) -> None:
    """Raises TypeError or ValueError unless a model is plain, float32 and on the CPU."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"{op}: expected a torch.nn.Module, got {type(model).__name__}.")
    for module in model.modules():
        if isinstance(module, OptimizedModel | FusedBlock):
            raise ValueError(f"{op}: expected a plain model, got one that is optimised already.")
        if isinstance(module, torch.jit.ScriptModule) or hasattr(module, "_orig_mod"):
            raise ValueError(
                f"{op}: expected a plain model, got one with a compiled or scripted part; "
                f"{op} first, then compile."
            )
    for kind, named in ("parameter", model.named_parameters), ("buffer", model.named_buffers):
        for name, tensor in named():
            fault = _fault(tensor)
            if fault is not None:
                raise ValueError(
                    f"{op}: expected float32 parameters and buffers on the CPU, got "
                    f"{kind} {name!r} {fault}."
                )


def check_unprepared(op: str, model: nn.Module) -> None:
    """Raises ValueError for a model of `prepare_qat`."""
    if quantization_of(model) is not None:
        raise ValueError(
            f"{op}: expected a plain model, got one of prepare_qat, which convert makes int8."
        )


def _fault(tensor: Tensor) -> str | None:
    if is_lazy(tensor):
        return "without a shape yet"
    if tensor.device.type != "cpu":
        return f"on device {tensor.device}"
    if tensor.is_floating_point() and tensor.dtype != torch.float32:
        return f"of {tensor.dtype}"
    return None


def normalisation(
    op: str, mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Mean and std as numbers, or neither; ValueError if they are not what they should be."""
    if mean is None and std is None:
        return None, None
    if mean is None or std is None:
        raise ValueError(f"{op}: expected mean and std, or neither, got only one of them.")
    mean, std = (tuple(float(value) for value in values) for values in (mean, std))
    finite = all(math.isfinite(value) for value in (*mean, *std))
    if len(mean) != 3 or len(std) != 3 or not finite or min(std) <= 0:
        raise ValueError(
            f"{op}: expected mean and std as three finite numbers each, std positive, got "
            f"{mean} and {std}."
        )
    return mean, std


def copied(model: nn.Module) -> nn.Module:
    """A copy of a model, in eval mode and without gradients."""
    # weight_norm and the like keep computed tensors, which deepcopy refuses, as attributes.
    computed = {
        id(value): value.detach().clone()
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    return copy.deepcopy(model, computed).eval().requires_grad_(False)
