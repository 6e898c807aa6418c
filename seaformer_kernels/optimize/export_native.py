"""Model files for programs without torch or Python."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from seaformer_kernels import ops
from seaformer_kernels._files import write_whole
from seaformer_kernels.fused import Unservable
from seaformer_kernels.models.wrappers import unwrapped
from seaformer_kernels.ops.network import task_of
from seaformer_kernels.optimize import optimize
from seaformer_kernels.optimize.model import OptimizedModel
from seaformer_kernels.optimize.whole_graph import whole_network


@dataclass(frozen=True)
class NativeFile:
    """What `export_native` wrote; `str()` says it in a line.

    Attributes:
        path: the file.
        task: "segmentation", "classification", "detection", or "map" where other maps come out.
        num_classes: number of classes; of "map" channels of the first one.
        bytes: length of the file.
    """

    path: Path
    task: str
    num_classes: int
    bytes: int

    def __str__(self) -> str:
        return f"{self.path}: {self.task}, {self.num_classes} classes, {self.bytes / 1e6:.1f} MB"


def export_native(
    model: nn.Module,
    path: str | os.PathLike,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    dtype: torch.dtype | None = None,
    keep_float32: Collection[str] = (),
) -> NativeFile:
    """Writes a model for `seaformer-native` and the C API, which run it without torch or Python.

    The file appears whole or not at all; one that is there is replaced. It is the same for every
    processor, and needs no native extension to write. csrc/network/plan.h has its format.

    Args:
        model: anyone's that is wholly steps of a plan, such as those of `create_model`, or what
            `optimize` made of it with a mean and std; in a wrapper that `optimize` takes, too.
        path: the file.
        mean, std: of R, G and B in the range 0..255, as for `optimize`; those of a model that is
            optimised already are inside.
        dtype, keep_float32: as for `optimize`, and likewise.

    Raises:
        TypeError: model is not a module.
        ValueError: the model has blocks that cannot be fused, or something else between them; or it
            has no mean and std, or is given them twice; or as `optimize`.
        OSError: the file cannot be written.
    """
    if isinstance(model, nn.Module):
        model = unwrapped(model)
    if isinstance(model, OptimizedModel):
        if mean is not None or std is not None or dtype is not None or keep_float32:
            raise ValueError(
                "export_native: expected mean, std, dtype and keep_float32 for a plain model only, "
                "got some of them with one that is optimised."
            )
    else:
        model = optimize(model, mean, std, dtype=dtype, keep_float32=keep_float32)
    try:
        whole = whole_network(model.module)
    except Unservable as error:
        raise ValueError(
            f"export_native: expected a model that is wholly blocks that can be fused, but {error}."
        ) from None
    if not whole.normalizes:
        raise ValueError(
            "export_native: expected mean and std, as programs give raw RGB values, got neither."
        )
    path = Path(path)
    write_whole({path: lambda file: file.write_bytes(ops.memory_of(whole.plan))}, flush=True)
    task = task_of(whole.plan).name.lower()
    return NativeFile(path, task, whole.num_classes, len(whole.plan))
