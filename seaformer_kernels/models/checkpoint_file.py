"""Reading the tensors of a checkpoint file without running any code it holds."""

import re
import threading
from collections.abc import Collection, Mapping
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

_FORMATS = ".pth, .pth.tar, .pt or .safetensors"
_AVERAGED = "state_dict_ema"
_LAST = ("state_dict", "model")


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, or does not fit the model."""


class _Discarded:
    """Takes the place of training metadata: accepts any arguments and state, keeps none."""

    def __init__(self, *args):
        pass

    def __setstate__(self, state):
        pass


# What timm and mmseg store beside the weights. Mapping these names to a stand-in, rather than
# to the real classes, reads the file without running any code but torch's and the stand-in's.
_METADATA = [
    (_Discarded, name)
    for name in (
        "argparse.Namespace",
        "numpy.dtype",
        "numpy.ndarray",
        "numpy.core.multiarray.scalar",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
        "numpy._core.multiarray._reconstruct",
    )
]
_safe_globals_lock = threading.Lock()  # torch keeps one list for the whole process


def read_state_dict(path: Path, ema: bool | None) -> tuple[str, dict[str, Tensor]]:
    """The tensors of a checkpoint on the CPU, and the key of the file they were found under.

    Args:
        path: a file saved by torch, zipped or legacy, or by safetensors.
        ema: as in `load_checkpoint`.

    Returns:
        The key ("" for a bare state dict) and the tensors by name, without `module.` prefix.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file holds no state dict, or one of anything but named tensors.
        ImportError: a .safetensors file, and safetensors is not installed.
    """
    _check_file(path)
    content = _read_safetensors(path) if path.suffix.lower() == ".safetensors" else _read_pth(path)
    source, state = _find_state_dict(path, content, ema)
    odd = [
        f"{name!r:.100} ({type(value).__name__})"
        for name, value in state.items()
        if not isinstance(name, str) or not isinstance(value, Tensor)
    ]
    if odd:
        raise CheckpointError(
            f"Expected {path} to map names to tensors, got other entries: {summarize(odd)}."
        )
    if state and all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return source, dict(state)


def summarize(items: Collection[object], limit: int = 3) -> str:
    """The first few items, each fit for a message, and how many more there are."""
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(_shorten(item) for item in islice(items, limit)) + more


def _check_file(path: Path) -> None:
    if not path.exists():
        raise FileNotFoundError(f"Expected a checkpoint file, got {path}, which does not exist.")
    if not path.is_file():
        kind = "a directory" if path.is_dir() else "not a regular file"
        raise CheckpointError(f"Expected a checkpoint file, got {path}, which is {kind}.")
    if not path.name.lower().endswith((".pth", ".pth.tar", ".pt", ".safetensors")):
        raise CheckpointError(f"Expected a checkpoint named {_FORMATS}, got {path}.")
    if path.stat().st_size == 0:
        raise CheckpointError(f"Expected a checkpoint file, got {path}, which is empty.")


def _find_state_dict(path: Path, content: object, ema: bool | None) -> tuple[str, Mapping]:
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"Expected {path} to hold a dictionary of tensors, got {type(content).__name__}."
        )
    keys = f"the keys {summarize(content) or '(none)'}"
    if ema is not False and isinstance(content.get(_AVERAGED), Mapping):
        return _AVERAGED, content[_AVERAGED]
    if ema:
        raise CheckpointError(
            f"Expected {path} to hold averaged weights under {_AVERAGED}, got {keys}."
        )
    for key in _LAST:
        if isinstance(content.get(key), Mapping):
            return key, content[key]
    if not any(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(
            f"Expected {path} to hold a state dict, bare or under {_AVERAGED}, "
            f"{' or '.join(_LAST)}, got {keys}."
        )
    return "", content


def _shorten(item: object) -> str:
    """Text from a file, made printable and not too long."""
    text = item if isinstance(item, str) and item.isprintable() else ascii(item)
    return text if len(text) <= 160 else f"{text[:157]}..."


def _reason(error: Exception) -> str:
    """Why a file was refused, without torch's advice to load it unsafely."""
    if refused := re.search(r"GLOBAL (\S+)", str(error)):
        return f"it calls for {_shorten(refused[1])}, and code in checkpoints is never run"
    if "weights_only" in str(error):
        return "it is damaged or holds more than plain data"
    return _shorten(f"{type(error).__name__}: {str(error).partition('. ')[0]}".rstrip(": ."))


def _read_pth(path: Path) -> object:
    with path.open("rb") as file, _safe_globals_lock, torch.serialization.safe_globals(_METADATA):
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged pickle can raise anything
            raise CheckpointError(
                f"Expected {path} to be a file of plain tensors saved by torch, "
                f"got one that cannot be read ({_reason(error)})."
            ) from None


def _read_safetensors(path: Path) -> object:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise ImportError(
            "Reading .safetensors files needs the safetensors library, which "
            "`pip install seaformer-kernels[cli]` brings."
        ) from error
    try:
        return load_file(path, device="cpu")
    except Exception as error:
        raise CheckpointError(
            f"Expected {path} to be a safetensors file, "
            f"got one that cannot be read ({_reason(error)})."
        ) from None
