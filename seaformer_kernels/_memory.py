"""Telling that memory ran out."""

from __future__ import annotations

import re

# How torch, oneDNN and the C++ library word a failed allocation in a RuntimeError.
_NO_MEMORY = re.compile(
    r"out of memory|allocate memory|not enough memory|could not create a memory|bad_alloc"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and bool(_NO_MEMORY.search(str(error)))
    )
