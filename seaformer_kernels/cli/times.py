"""How long each step takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Times(dict[str, float]):
    """Milliseconds spent in each step."""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times the block."""
        start = time.perf_counter()
        yield
        self[name] = (time.perf_counter() - start) * 1e3
