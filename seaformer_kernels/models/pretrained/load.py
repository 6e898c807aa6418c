"""from_pretrained."""

from __future__ import annotations

import os
import re
from pathlib import Path

import torch

from seaformer_kernels.models.checkpoint.error import CheckpointError, shorten, summarize
from seaformer_kernels.models.checkpoint.matching import match
from seaformer_kernels.models.checkpoint.reader import damage_told, open_checkpoint
from seaformer_kernels.models.classifier import SeaFormerClassifier
from seaformer_kernels.models.detector import SeaFormerDetector
from seaformer_kernels.models.pretrained import packaged
from seaformer_kernels.models.pretrained.config import (
    CONFIG,
    WEIGHTS,
    PretrainedConfig,
    read_config,
)
from seaformer_kernels.models.segmenter import SeaFormerSegmenter


def from_pretrained(
    name: str | os.PathLike[str], *, dtype: torch.dtype = torch.float32
) -> SeaFormerSegmenter | SeaFormerClassifier | SeaFormerDetector:
    """A trained model, in eval mode, from a folder or from what comes with the package.

    Nothing is fetched from a network. The folder holds `config.json` and `model.safetensors`, as
    `save_pretrained` writes them; only tensors are read, and nothing in either file is run. Torch's
    random generator stays as it is.

    Args:
        name: the folder, with ~ for the home folder; or one of `list_pretrained()`, if there is no
            folder of that name.
        dtype: of the parameters, whatever that of the file.

    Returns:
        The model; its `facts` hold the names and colours of the classes, mean and std. It is one
        of `prepare_qat`, for `convert`, if such a one was saved.

    Raises:
        CheckpointError: there is neither such a folder nor such a name, or its files cannot be
            read or do not fit each other.
        ImportError: safetensors is not installed.
        TypeError: name is not a path, or dtype no floating-point type, or not float32 for a model
            of `prepare_qat`.
    """
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise TypeError(f"Expected dtype as a floating-point type of torch, got {dtype!r}.")
    folder = find_folder(name)
    return load_folder(folder, read_config(folder), dtype)


def find_folder(name: str | os.PathLike[str]) -> Path:
    """The folder that a path or the name of packaged weights means.

    Raises:
        CheckpointError: there is none.
        TypeError: name is not a path.
    """
    if not isinstance(name, str | os.PathLike):
        raise TypeError(f"Expected a folder or a name, got {type(name).__name__}.")
    text = os.fsdecode(os.fspath(name))
    path = Path(os.path.expanduser(text))
    try:
        if path.is_dir():
            return path
        names = packaged.list_pretrained()
        if text in names:
            return packaged.FOLDER / text
        raise CheckpointError(
            f"Expected a folder with {CONFIG} and {WEIGHTS}, or the name of weights that come with "
            f"the package ({', '.join(names) or 'there are none'}), got {shorten(text)!r}"
            f"{_advice(text, path)}"
        )
    except (OSError, ValueError) as error:  # a name that the system takes for none
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"Expected a folder or a name, got {shorten(text)!r}, of which the system says: "
            f"{error.strerror if isinstance(error, OSError) else error}."
        ) from None


def _advice(text: str, path: Path) -> str:
    if path.is_file():
        return (
            ", which is a file: name the folder it lies in, or fill a model of create_model by "
            "load_checkpoint."
        )
    if re.fullmatch(r"[\w.-]+/[\w.-]+", text):
        return (
            ". Nothing is fetched: if that is a repository of the Hugging Face hub, download it by "
            f"`hf download {text} --local-dir FOLDER` and name the folder."
        )
    return ". Nothing is fetched: download a model's repository first and name its folder."


def load_folder(
    folder: Path, config: PretrainedConfig, dtype: torch.dtype = torch.float32
) -> SeaFormerSegmenter | SeaFormerClassifier | SeaFormerDetector:
    """The model of a folder whose config.json was read; as `from_pretrained`."""
    if config.quantization is not None and dtype != torch.float32:
        raise TypeError(
            f"Expected dtype torch.float32 for a model of prepare_qat, as is in {folder}, got "
            f"{dtype}."
        )
    path = folder / WEIGHTS
    if not path.exists():
        raise CheckpointError(f"Expected {folder} to hold {WEIGHTS} beside {CONFIG}, got none.")
    try:
        model = config.build()
    except (RuntimeError, ValueError, OverflowError) as error:
        raise CheckpointError(
            f"Expected {folder / CONFIG} to describe a model, but torch says: "
            f"{shorten(str(error))}."
        ) from None
    target = model.state_dict()
    with open_checkpoint(path, ema=False) as file:
        found = match(file.name, file.state, target, prefix="")
        if found.fresh or found.ignored:
            raise CheckpointError(
                f"Expected {path} to hold the tensors that {CONFIG} describes, but it lacks "
                f"{summarize(found.fresh) or 'none'} and has beside them "
                f"{summarize(found.ignored) or 'none'}."
            )
        with damage_told(file.name):
            values = {name: tensor.read() for name, tensor in found.pairs.items()}
    # Batch counters may be missing, as in other checkpoints.
    state = {
        name: torch.zeros(meta.shape, dtype=meta.dtype)
        if name not in values
        else values[name].to(dtype if meta.is_floating_point() else meta.dtype, copy=True)
        for name, meta in target.items()
    }
    model.load_state_dict(state, assign=True)
    model.facts = config.facts
    return model.eval()
