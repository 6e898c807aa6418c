"""Which tensor of a checkpoint goes to which of a model."""

from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor

from seaformer_kernels.models.checkpoint.error import CheckpointError, shorten, summarize
from seaformer_kernels.models.checkpoint.tensors import StoredTensor

HEADS = ("decode_head.", "linear.", "neck.", "head.")  # what names begin with behind a backbone
_CLASSIFIERS = ("decode_head.conv_seg", "linear", "head.class_out")
_UPSAMPLER = "decode_head.upsampler."  # what a student has and other models lack
_COUNTER = "num_batches_tracked"  # unused at inference, and older checkpoints lack it
_WEIGHT_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_COUNTER_DTYPES = (torch.int32, torch.int64, *_WEIGHT_DTYPES)
# Where torch.compile, FSDP and activation checkpointing keep what they wrap.
_WRAPPERS = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_DEEPEST_PREFIX = 8  # names


@dataclass(frozen=True)
class Match:
    """What goes where.

    Attributes:
        pairs: the tensor for each of the model's names.
        prefix: what the file's names begin with before the model's.
        fresh: the model's names that get nothing, but for batch counters.
        ignored: the file's names the model has no use for.
    """

    pairs: dict[str, StoredTensor]
    prefix: str
    fresh: tuple[str, ...]
    ignored: tuple[str, ...]


def match(
    file: str,
    state: dict[str, StoredTensor],
    target: dict[str, Tensor],
    prefix: str | None = None,
    strict: bool = True,
) -> Match:
    """Finds a tensor for each of a model's names.

    Args:
        file: name of the checkpoint, for messages.
        state: its tensors by name.
        target: the model's tensors by name.
        prefix: what the file's names begin with; None to find that out. Names without it are
            ignored if it is given.
        strict: whether names that the model has no use for, and an upsampler that the file lacks,
            are an error.

    Raises:
        CheckpointError: the file does not fit; names are given.
    """
    ours = {_key(name): name for name in target}
    given = prefix is not None
    if given:
        prefix = f"{prefix.removesuffix('.')}." if prefix else ""
        if not any(name.startswith(prefix) for name in state):
            raise CheckpointError(
                f"Expected {file} to hold names that begin with {shorten(prefix)!r}, "
                f"got {summarize(state) or 'none at all'}."
            )
    else:
        prefix = _find_prefix(file, state, ours.keys())
    theirs = {_key(name[len(prefix) :]): name for name in state if name.startswith(prefix)}
    twice = [name for name in state if name.startswith(prefix) and name not in theirs.values()]
    outside = [name for name in state if not name.startswith(prefix)]

    fresh, other_heads = _differing_heads(
        {key: target[name] for key, name in ours.items()},
        {key: state[name] for key, name in theirs.items()},
    )
    pairs = {
        name: state[theirs[key]] for key, name in ours.items() if key in theirs and key not in fresh
    }
    counters = {key for key in ours if key.endswith(_COUNTER)}
    upsampler = {key for key in ours.keys() - fresh if key.startswith(_UPSAMPLER)}
    lifted = any(key.startswith(_UPSAMPLER) for key in theirs)
    if not strict and not lifted:
        fresh |= upsampler
    excused = theirs.keys() | fresh | counters
    surplus = [name for key, name in theirs.items() if key not in ours and key not in other_heads]
    ignored = [name for key, name in theirs.items() if key in other_heads]
    ignored += outside if given else []
    surplus += [] if given else outside
    if not strict:
        ignored, surplus = ignored + surplus, []
    problems = {
        "missing": [name for key, name in ours.items() if key not in excused],
        "given with and without backbone.": twice,
        "mis-shaped": [
            f"{name}: expected {list(target[name].shape)}, got {list(tensor.shape)}"
            for name, tensor in pairs.items()
            if tensor.shape != tuple(target[name].shape)
        ],
        "of a wrong type": [
            f"{name}: expected dense {target[name].dtype}, "
            f"got {tensor.dtype} ({tensor.oddity or 'dense'})"
            for name, tensor in pairs.items()
            if not _convertible(tensor, target[name])
        ],
        "surplus": surplus,
    }
    if any(problems.values()):
        found = "; ".join(
            f"{len(names)} {kind} ({summarize(names)})" for kind, names in problems.items() if names
        )
        advice = ", which strict=False would ignore" if surplus else ""
        if upsampler and strict and not lifted:
            advice += "; strict=False would leave the upsampler as it is"
        raise CheckpointError(f"Expected {file} to hold the model's tensors, got {found}{advice}.")
    return Match(
        pairs,
        prefix,
        tuple(ours[key] for key in ours if key in fresh - counters),
        tuple(ignored),
    )


def _key(name: str) -> str:
    """A name as all models and wrappers would have it."""
    # Segmentation models say "backbone." and classification models do not: compare without it.
    first, *parts = name.split(".")
    return ".".join([first, *(p for p in parts if p not in _WRAPPERS)]).removeprefix("backbone.")


def _find_prefix(file: str, state: dict[str, StoredTensor], ours: set[str]) -> str:
    """The prefix under which most of the model's names are found.

    "" if that is not even half of those that are not in heads.

    Raises:
        CheckpointError: there are several models of this kind in the file.
    """
    found = defaultdict(set)
    for name in state:
        end = 0
        for _ in range(_DEEPEST_PREFIX):
            if not name.startswith(tuple(f"{w}." for w in _WRAPPERS), end) and (
                _key(name[end:]) in ours
            ):
                found[name[:end]].add(name)
            end = name.find(".", end) + 1
            if not end:
                break
    best = max(found, key=lambda prefix: (len(found[prefix]), -len(prefix)), default="")
    if 2 * len(found[best]) < sum(not key.endswith(_COUNTER) for key in ours if not _in_head(key)):
        return ""
    # Prefixes of the same names differ by a "backbone." only.
    rivals = [
        prefix
        for prefix, names in found.items()
        if len(names) == len(found[best]) and not names & found[best]
    ]
    if rivals:
        raise CheckpointError(
            f"Expected {file} to hold one model's weights, got several, under the prefixes "
            f"{summarize([p or '(none)' for p in sorted([best, *rivals])])}: choose by prefix=."
        )
    return best


def _differing_heads(
    ours: dict[str, Tensor], theirs: dict[str, StoredTensor]
) -> tuple[set[str], set[str]]:
    """Our names without counterpart because the heads differ, and theirs."""
    fresh, ignored = set(), set()
    for head in HEADS:
        our_head = {key for key in ours if key.startswith(head)}
        their_head = {key for key in theirs if key.startswith(head)}
        if not our_head or not their_head:
            fresh |= our_head
            ignored |= their_head
    for classifier in _CLASSIFIERS:
        weight, bias = keys = f"{classifier}.weight", f"{classifier}.bias"
        if (
            set(keys) <= ours.keys() & theirs.keys()
            and theirs[weight].shape[1:] == tuple(ours[weight].shape[1:])
            and theirs[weight].shape[:1] == theirs[bias].shape != tuple(ours[bias].shape)
        ):
            fresh.update(keys)
            ignored.update(keys)
    return fresh, ignored


def _in_head(key: str) -> bool:
    return key.startswith(HEADS)


def _convertible(tensor: StoredTensor, target: Tensor) -> bool:
    dtypes = _WEIGHT_DTYPES if target.is_floating_point() else _COUNTER_DTYPES
    return not tensor.oddity and tensor.dtype in dtypes
