"""The state dict of any checkpoint file."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from seaformer_kernels.models.checkpoint.error import CheckpointError, shorten, summarize
from seaformer_kernels.models.checkpoint.file_kind import (
    Safetensors,
    Tarred,
    Zipped,
    kind_of,
    refusal,
    text_kind,
)
from seaformer_kernels.models.checkpoint.pickle_reader import Foreign, Global
from seaformer_kernels.models.checkpoint.source import Source, opened
from seaformer_kernels.models.checkpoint.tensors import Storage, StoredTensor
from seaformer_kernels.models.checkpoint.torch_file import read_stream, read_tar, read_zip

# Keys that trainers keep weights under, by rank: averages over the steps, and the last step's.
_AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "params_ema", "ema")
_LAST = ("state_dict", "model_state_dict", "model", "net", "params", "module")
_DEEPEST = 4  # levels of keys; a pickle can hold itself


@dataclass(frozen=True)
class Checkpoint:
    """The weights of a file.

    Attributes:
        path: the file, if it has a place.
        name: of the file, for messages.
        source: keys the weights were found under, joined by "."; "" for a bare state dict.
        state: the tensors by name; they can be read while the file is open.
        skipped: how many objects of each class were left out.
    """

    path: Path | None
    name: str
    source: str
    state: dict[str, StoredTensor]
    skipped: dict[str, int] = field(default_factory=dict)


@contextmanager
def open_checkpoint(
    source: str | os.PathLike[str] | BinaryIO, ema: bool | None
) -> Iterator[Checkpoint]:
    """The weights of a file, which stays open meanwhile.

    Args:
        source: a path or an open binary file.
        ema: as in `load_checkpoint`.

    Raises:
        FileNotFoundError, TypeError: as `opened`.
        CheckpointError: the file holds no state dict, or one of anything but named tensors.
        ImportError: a safetensors file, and safetensors is not installed.
    """
    with opened(source) as file:
        content, skipped = _content(file)
        keys, state = _find_state_dict(file.name, content, ema)
        odd = [
            f"{name!r:.100} ({_type_name(value)})"
            for name, value in state.items()
            if not isinstance(name, str) or not isinstance(value, StoredTensor)
        ]
        if odd:
            raise CheckpointError(
                f"Expected {file.name} to map names to tensors, "
                f"got other entries: {summarize(odd)}."
            )
        yield Checkpoint(file.path, file.name, keys, state, dict(skipped))


@contextmanager
def damage_told(name: str) -> Iterator[None]:
    """Whatever a damaged file makes raise inside becomes a CheckpointError."""
    try:
        yield
    except (CheckpointError, ImportError):
        raise
    except Exception as error:
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        reason = shorten(f"{kind}{error}".rstrip(": ."))
        raise CheckpointError(
            f"Expected {name} to be a file of torch.save or safetensors, got one that cannot be "
            f"read, as it is damaged, incomplete or of another kind ({reason})."
        ) from None


def _content(source: Source) -> tuple[object, Mapping[str, int]]:
    with damage_told(source.name):
        kind = kind_of(source.file, source.size, source.name)
        match kind:
            case Zipped(archive, folder):
                return read_zip(source.file, archive, folder)
            case Tarred(archive):
                return read_tar(source.file, archive)
            case Safetensors():
                return _read_safetensors(source), {}
        source.file.seek(0)
        try:
            return read_stream(source.file)
        except Exception:
            if text := text_kind(source.file):
                raise refusal(source.name, *text) from None
            raise


def _read_safetensors(source: Source) -> dict[str, StoredTensor]:
    try:
        from safetensors.torch import load
    except ImportError as error:
        raise ImportError(
            "Reading .safetensors files needs the safetensors library, which "
            "`pip install seaformer-kernels[cli]` brings."
        ) from error
    source.file.seek(0)
    tensors = load(source.file.read())
    return {
        name: StoredTensor(tuple(tensor.shape), tensor.dtype, "", lambda tensor=tensor: tensor)
        for name, tensor in tensors.items()
    }


def _find_state_dict(name: str, content: object, ema: bool | None) -> tuple[str, dict]:
    _refuse_modules(name, content)
    if not isinstance(content, dict):
        raise CheckpointError(
            f"Expected {name} to hold a dictionary of tensors, got {_type_name(content)}."
        )
    averaged, last = _AVERAGED, _LAST
    if _swapped(content):
        averaged, last = ("state_dict",), ("ema_state_dict",)
    if ema is not False and (found := _under(content, averaged)):
        return _descend(name, *found)
    if ema:
        raise CheckpointError(
            f"Expected {name} to hold averaged weights under one of {', '.join(_AVERAGED)}, "
            f"got {_keys(content)}."
        )
    if found := _under(content, last):
        return _descend(name, *found)
    if not any(isinstance(value, StoredTensor) for value in content.values()):
        raise CheckpointError(
            f"Expected {name} to hold a state dict, bare or under one of "
            f"{', '.join((*_AVERAGED, *_LAST))}, got {_keys(content)}."
        )
    return "", content


def _swapped(content: dict) -> bool:
    """Whether the average lies under state_dict, and the last step's beside it.

    mmengine's averaging hook swaps them on saving; its averages alone count `steps`.
    """
    average = content.get("ema_state_dict")
    return isinstance(average, dict) and "steps" in average and "state_dict" in content


def _under(content: dict, keys: tuple[str, ...]) -> tuple[str, dict] | None:
    """The first of the keys that holds a dictionary or a module, and it."""
    for key in keys:
        value = content.get(key)
        if isinstance(value, dict) or (isinstance(value, Foreign) and value.is_module):
            return key, value
    return None


def _descend(name: str, key: str, state: object) -> tuple[str, dict]:
    """The dictionary of tensors under a key, through further keys of weights."""
    _refuse_modules(name, state)
    if key.count(".") >= _DEEPEST or any(isinstance(v, StoredTensor) for v in state.values()):
        return key, state
    if found := _under(state, _LAST):
        return _descend(name, f"{key}.{found[0]}", found[1])
    return key, state


def _refuse_modules(name: str, content: object) -> None:
    if isinstance(content, Foreign) and content.is_module:
        raise CheckpointError(
            f"Expected {name} to hold a state dict, got a whole pickled module "
            f"({shorten(content.name)}), whose code would have to run: where its class can be "
            "imported, load it and save it by torch.save(module.state_dict(), path)."
        )


def _keys(content: dict) -> str:
    return f"the keys {summarize(content) or '(none)'}"


def _type_name(value: object) -> str:
    match value:
        case StoredTensor():
            return "Tensor"
        case Storage():
            return "a bare storage"
        case Foreign() | Global():
            return f"an object of {shorten(value.name)}"
    return type(value).__name__
