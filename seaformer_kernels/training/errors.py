"""What stops a training, told in a sentence."""

from __future__ import annotations

import re

# How torch, oneDNN and the C++ library word a failed allocation in a RuntimeError.
_NO_MEMORY = re.compile(
    r"out of memory|allocate memory|not enough memory|could not create a memory|bad_alloc"
)


class RecipeError(ValueError):
    """A recipe that is not one; the message names the file, the key, and what was expected."""


class TrainingError(RuntimeError):
    """A training that cannot begin or go on; the message says why, and what to do."""


class Stopped(TrainingError):
    """A training that was asked to stop, and has saved its state."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and bool(_NO_MEMORY.search(str(error)))
    )
