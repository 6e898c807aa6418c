"""The state of a training on disk: whole or not at all, whenever the power goes."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from seaformer_kernels.training.errors import TrainingError

_FORMAT = 1


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a file so that its name always stands for a whole one, the old or the new."""
    temporary = path.with_name(f".{path.name}.part")
    with open(temporary, "wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name, too
    finally:
        os.close(folder)


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Writes a state, which is plain data and tensors."""
    write_whole(path, lambda file: torch.save({"format": _FORMAT, **state}, file))


def load_state(path: Path) -> dict[str, Any]:
    """Reads a state; only plain data and tensors, nothing in the file is run.

    Raises:
        TrainingError: it cannot be read.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise TrainingError(f"There is nothing to resume: {path} is not there.") from None
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TrainingError(f"{path} cannot be read as the state of a training: {why}") from None
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise TrainingError(f"Expected {path} to be the state of a training, got something else.")
    return state


def random_states() -> dict[str, Any]:
    """The states of torch's generators."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore_random_states(states: dict[str, Any]) -> None:
    """Puts the states of torch's generators back."""
    torch.set_rng_state(states["cpu"])
    if states["cuda"] and torch.cuda.device_count() == len(states["cuda"]):
        torch.cuda.set_rng_state_all(states["cuda"])
