"""What one entry of a run compares."""

from __future__ import annotations

import dataclasses

import torch

from seaformer_kernels.bench.tables import in_words
from seaformer_kernels.ops._element import name_of


@dataclasses.dataclass(frozen=True)
class Case:
    """One comparison: what is computed, in which element type, and by whom beside ours."""

    model: str
    height: int
    width: int
    threads: int
    output: str
    dtype: torch.dtype
    peers: tuple[str, ...]

    def __str__(self) -> str:
        size = f"{self.width}x{self.height}"
        threads = in_words(self.threads)
        return f"{self.model} {size} to {self.output} in {name_of(self.dtype)}, {threads}"
