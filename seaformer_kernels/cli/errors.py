"""What can go wrong with one image, told in a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seaformer_kernels._memory import is_out_of_memory

_ASKED = re.compile(r"tried to allocate (\d+) bytes")

# What the fused network has to hold: the stem's map and the next, 16 float32 channels at half size.
_BYTES_PER_PIXEL = 2 * 16 * 4 // 4


class ImageError(Exception):
    """An image that cannot be segmented; the message says why, without its name."""


@contextmanager
def out_of_memory(width: int, height: int) -> Iterator[None]:
    """Turns a failed allocation in work on an image of this size into an ImageError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        asked = _ASKED.search(str(error))
        detail = (
            f"{_size(int(asked[1]))} could not be allocated"
            if asked
            else f"the network's input alone takes {_size(3 * 4 * width * height)}"
        )
        raise ImageError(
            f"out of memory at {width}x{height} pixels ({detail}); --resize makes the network "
            "need less"
        ) from None


def check_memory(width: int, height: int) -> None:
    """Raises ImageError if the network certainly lacks memory for an image of this size.

    Linux grants more than there is and kills the process later, so that failed allocations alone
    would leave nobody to tell.
    """
    needed, free = _BYTES_PER_PIXEL * width * height, _available()
    if free is not None and needed > free:
        raise ImageError(
            f"out of memory at {width}x{height} pixels (the network takes more than "
            f"{_size(needed)}, {_size(free)} are free); --resize makes the network need less"
        )


def _available() -> int | None:
    """Free memory in bytes, if the system tells."""
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return None
    match = re.search(r"MemAvailable:\s*(\d+) kB", text)
    return int(match[1]) * 1024 if match else None


def reason(error: Exception) -> str:
    """Why it failed, in the system's words if it has any."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.splitlines()[0]


def _size(count: int) -> str:
    return f"{count / 1e6:,.0f} MB" if count < 1e9 else f"{count / 1e9:,.1f} GB"
