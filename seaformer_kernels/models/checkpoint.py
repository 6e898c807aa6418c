"""Filling a model from a checkpoint file, completely or not at all."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from seaformer_kernels.models.checkpoint_file import CheckpointError, read_state_dict, summarize

_HEADS = ("decode_head.", "linear.")
_CLASSIFIERS = ("decode_head.conv_seg", "linear")
_COUNTER = "num_batches_tracked"  # unused at inference, and older checkpoints lack it
_WEIGHT_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_COUNTER_DTYPES = (torch.int32, torch.int64, *_WEIGHT_DTYPES)


@dataclass(frozen=True)
class CheckpointReport:
    """What `load_checkpoint` did.

    Attributes:
        path: the file.
        source: key of the file the weights were found under; "" for a bare state dict.
        loaded: number of tensors copied into the model.
        fresh: names of the model's parameters and buffers left as they were, but for batch
            counters.
        ignored: names of the file's tensors the model has no use for.
    """

    path: Path
    source: str
    loaded: int
    fresh: tuple[str, ...]
    ignored: tuple[str, ...]

    def __str__(self) -> str:
        under = f" under {self.source}" if self.source else ""
        text = f"Loaded {self.loaded} tensors from {self.path}{under}."
        if self.fresh:
            text += f" Left as they were: {summarize(self.fresh)}."
        if self.ignored:
            text += f" Ignored: {summarize(self.ignored)}."
        return text


def load_checkpoint(
    model: nn.Module, path: str | os.PathLike[str], *, ema: bool | None = None
) -> CheckpointReport:
    """Copies the weights of a checkpoint file into a model, converting to its dtype and device.

    The file is a state dict, bare or under `state_dict_ema`, `state_dict` or `model`, its names
    with or without a `module.` prefix; anything else beside it is skipped. Only tensors are
    read: no code in the file is run. On any error the model is left untouched.

    The backbone must fit exactly. Heads may differ, and the report says so: a head the file
    lacks, or a classifier with another class count, stays as it was; a head the model lacks is
    ignored. So a classification checkpoint fills the backbone of a segmentation model.

    Args:
        model: from `create_model`, or a `SeaFormerBackbone`.
        path: file named .pth, .pth.tar or .pt (torch, zipped or legacy) or .safetensors.
        ema: which weights to take from a file that holds both, as timm writes them: True for
            the exponential moving average under `state_dict_ema` only, False for the last step's
            only, None for the average if there is one, which is also timm's choice.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file cannot be read or does not fit; names are given.
        ImportError: a .safetensors file, and safetensors is not installed.
    """
    path = Path(path)
    target = model.state_dict()
    if any(tensor.is_meta for tensor in target.values()):
        raise ValueError("Expected a model with storage to fill, got one on the meta device.")
    source, state = read_state_dict(path, ema)
    pairs, fresh, ignored = _match(path, state, target)
    with torch.no_grad():
        for name, tensor in pairs.items():
            target[name].copy_(tensor)
    return CheckpointReport(path, source, len(pairs), fresh, ignored)


def _match(
    path: Path, state: dict[str, Tensor], target: dict[str, Tensor]
) -> tuple[dict[str, Tensor], tuple[str, ...], tuple[str, ...]]:
    """The tensor for each of the model's names, the names left fresh, the names ignored."""
    # Segmentation models say "backbone." and classification models do not: compare without it.
    ours = {name.removeprefix("backbone."): name for name in target}
    theirs = {name.removeprefix("backbone."): name for name in state}
    fresh, ignored = _differing_heads(
        {key: target[name] for key, name in ours.items()},
        {key: state[name] for key, name in theirs.items()},
    )
    pairs = {
        name: state[theirs[key]] for key, name in ours.items() if key in theirs and key not in fresh
    }
    counters = {key for key in ours if key.endswith(_COUNTER)}
    excused = theirs.keys() | fresh | counters
    known = ours.keys() | ignored
    problems = {
        "missing": [name for key, name in ours.items() if key not in excused],
        "surplus": [name for key, name in theirs.items() if key not in known],
        "given with and without backbone.": sorted(state.keys() - theirs.values()),
        "mis-shaped": [
            f"{name}: expected {list(target[name].shape)}, got {list(tensor.shape)}"
            for name, tensor in pairs.items()
            if tensor.shape != target[name].shape
        ],
        "of a wrong type": [
            f"{name}: expected dense {target[name].dtype}, "
            f"got {tensor.dtype} ({tensor.layout}, {tensor.device})"
            for name, tensor in pairs.items()
            if not _convertible(tensor, target[name])
        ],
    }
    if any(problems.values()):
        found = "; ".join(
            f"{len(names)} {kind} ({summarize(names)})" for kind, names in problems.items() if names
        )
        raise CheckpointError(f"Expected {path} to hold the model's tensors, got {found}.")
    return (
        pairs,
        tuple(ours[key] for key in ours if key in fresh - counters),
        tuple(theirs[key] for key in theirs if key in ignored),
    )


def _differing_heads(
    ours: dict[str, Tensor], theirs: dict[str, Tensor]
) -> tuple[set[str], set[str]]:
    """Our names without counterpart because the heads differ, and theirs."""
    fresh, ignored = set(), set()
    for head in _HEADS:
        our_head = {key for key in ours if key.startswith(head)}
        their_head = {key for key in theirs if key.startswith(head)}
        if not our_head or not their_head:
            fresh |= our_head
            ignored |= their_head
    for classifier in _CLASSIFIERS:
        weight, bias = keys = f"{classifier}.weight", f"{classifier}.bias"
        if (
            set(keys) <= ours.keys() & theirs.keys()
            and theirs[weight].shape[1:] == ours[weight].shape[1:]
            and theirs[weight].shape[:1] == theirs[bias].shape != ours[bias].shape
        ):
            fresh.update(keys)
            ignored.update(keys)
    return fresh, ignored


def _convertible(tensor: Tensor, target: Tensor) -> bool:
    dtypes = _WEIGHT_DTYPES if target.is_floating_point() else _COUNTER_DTYPES
    dense = tensor.layout == torch.strided and tensor.device.type == "cpu"
    return dense and tensor.dtype in dtypes
