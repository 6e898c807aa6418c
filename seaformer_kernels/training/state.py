"""The state of a training on disk: whole or not at all, whenever the power goes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from seaformer_kernels._files import write_whole
from seaformer_kernels.training.errors import TrainingError

_FORMAT = 1


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Writes a state, which is plain data and tensors."""
    content = {"format": _FORMAT, **state}
    write_whole({path: lambda file: torch.save(content, file)}, flush=True, alone=True)


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
