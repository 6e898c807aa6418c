"""What one entry of a run compares."""

from __future__ import annotations

import dataclasses

from seaformer_kernels.bench.tables import in_words


@dataclasses.dataclass(frozen=True)
class Case:
    """One comparison: what is computed, and by whom beside ours."""

    model: str
    height: int
    width: int
    threads: int
    output: str
    peers: tuple[str, ...]

    def __str__(self) -> str:
        size = f"{self.width}x{self.height}"
        return f"{self.model} {size} to {self.output}, {in_words(self.threads)}"
