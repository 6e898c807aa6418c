"""Filling a model from a checkpoint file, completely or not at all."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import torch
from torch import nn

from seaformer_kernels.models.checkpoint.error import summarize
from seaformer_kernels.models.checkpoint.matching import match
from seaformer_kernels.models.checkpoint.reader import damage_told, open_checkpoint
from seaformer_kernels.models.wrappers import unwrapped


@dataclass(frozen=True)
class CheckpointReport:
    """What `load_checkpoint` did.

    Attributes:
        path: the file; None for an open file that has no place.
        source: key of the file the weights were found under, such as "state_dict" or
            "ema.module"; "" for a bare state dict.
        loaded: number of tensors copied into the model.
        fresh: names of the model's parameters and buffers left as they were, but for batch
            counters.
        ignored: names of the file's tensors the model has no use for.
        prefix: what stood before the model's names in the file, such as "module."; mostly "".
        skipped: what the file holds beside plain data and tensors: how many objects of each class
            were left out unmade.
    """

    path: Path | None
    source: str
    loaded: int
    fresh: tuple[str, ...]
    ignored: tuple[str, ...]
    prefix: str = ""
    skipped: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        under = f" under {self.source}" if self.source else ""
        prefix = f", whose names begin with {summarize([self.prefix])}" if self.prefix else ""
        text = f"Loaded {self.loaded} tensors from {self.path or 'an open file'}{under}{prefix}."
        if self.fresh:
            text += f" Left as they were: {summarize(self.fresh)}."
        if self.ignored:
            text += f" Ignored: {summarize(self.ignored)}."
        if self.skipped:
            objects = [f"{count} {name}" for name, count in self.skipped.items()]
            text += f" Skipped objects: {summarize(objects)}."
        return text


def load_checkpoint(
    model: nn.Module,
    path: str | os.PathLike[str] | BinaryIO,
    *,
    ema: bool | None = None,
    strict: bool = True,
    prefix: str | None = None,
) -> CheckpointReport:
    """Copies the weights of a checkpoint file into a model, converting to its dtype and device.

    The file is what torch.save or safetensors writes, whatever its name. It holds a state dict,
    bare or under a key of the usual trainers (`state_dict`, `model`, `model_state_dict`, `net`,
    `params`, `module`, `ema` and the like, also one in another). Only tensors are read: nothing
    in the file is imported or called, and the report counts the objects that were skipped. On any
    error the model is left untouched.

    The backbone must fit exactly. Heads may differ, and the report says so: a head the file
    lacks, or a classifier with another class count, stays as it was; a head the model lacks is
    ignored. So a classification checkpoint fills the backbone of a segmentation model.

    Args:
        model: from `create_model`, or a `SeaFormerBackbone`; one in DataParallel,
            DistributedDataParallel, torch.compile or AveragedModel is filled inside.
        path: the file, with ~ for the home folder, or a file opened with "rb" or `io.BytesIO`,
            read from where it stands.
        ema: which weights to take from a file that holds both, under keys such as
            `state_dict_ema`: True for the exponential moving average only, False for the last
            step's only, None for the average if there is one, which is also timm's choice.
        strict: whether tensors that the model has no use for are an error; False ignores and
            reports them, and lets a file without an upsampler leave that of the model as it was.
            What else the model needs must be there in any case.
        prefix: what the file's names begin with before the model's, such as "student"; names
            without it are ignored. None finds it: any prefix that most of the names share.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is no checkpoint, which the message then says what it is, or
            cannot be read, or does not fit; names are given.
        ImportError: a safetensors file, and safetensors is not installed.
        TypeError: path is neither a path nor a binary file.
        ValueError: the model is on the meta device, or was optimised already.
    """
    model = unwrapped(model)
    if any(getattr(module, "holds_packed_weights", False) for module in model.modules()):
        raise ValueError(
            "Expected a plain model to fill, got an optimised one, whose weights are packed: "
            "load the checkpoint first, then optimise."
        )
    target = model.state_dict()
    if any(tensor.is_meta for tensor in target.values()):
        raise ValueError("Expected a model with storage to fill, got one on the meta device.")
    with open_checkpoint(path, ema) as file:
        found = match(file.name, file.state, target, prefix, strict)
        with damage_told(file.name):
            values = {name: tensor.read() for name, tensor in found.pairs.items()}
    with torch.no_grad():
        for name, value in values.items():
            target[name].copy_(value)
    return CheckpointReport(
        file.path,
        file.source,
        len(values),
        found.fresh,
        found.ignored,
        found.prefix,
        file.skipped,
    )
