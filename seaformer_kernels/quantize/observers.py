"""Which range of numbers a map has, from what is seen of it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_BINS = 2048
_CANDIDATES = 128
_SEEN = 100_003  # numbers of a map, about; a prime, so that all channels are seen


class MinMax:
    """The largest magnitude.

    Attributes:
        most: of all numbers seen.
    """

    def __init__(self) -> None:
        self.most = 0.0

    def see(self, magnitudes: Tensor) -> None:
        """Takes the magnitudes of a map's numbers."""
        self.most = max(self.most, float(magnitudes.max()))

    def range(self, levels: int, limit: float) -> float:
        """The largest magnitude that a map of this many levels from 0 on should hold.

        Args:
            levels: steps from 0 to that.
            limit: the activation's own.
        """
        return min(self.most, limit)


class Histogram(MinMax):
    """The magnitude beyond which clipping costs less than it brings: least mean squared error."""

    def __init__(self) -> None:
        super().__init__()
        self._counts = torch.zeros(_BINS, dtype=torch.float64)
        self._width = 0.0  # of a bin

    def see(self, magnitudes: Tensor) -> None:
        super().see(magnitudes)
        if self.most == 0.0:
            return
        if self._width == 0.0:
            self._width = self.most / _BINS
        while self.most > self._width * _BINS:
            pairs = self._counts.view(-1, 2).sum(1)
            self._counts = torch.cat([pairs, torch.zeros_like(pairs)])
            self._width *= 2
        seen = magnitudes[:: len(magnitudes) // _SEEN + 1]
        counts = torch.histc(seen, _BINS, 0.0, self._width * _BINS).double()
        counts[0] -= len(seen) - int(seen.count_nonzero())  # zeros are exact in any case
        self._counts += counts * (len(magnitudes) / len(seen))

    def range(self, levels: int, limit: float) -> float:
        if self.most == 0.0:
            return 0.0
        middles = (torch.arange(_BINS, dtype=torch.float64) + 0.5) * self._width
        middles = middles.clamp(max=limit)
        most = min(self.most, limit)
        candidates = most * torch.arange(_CANDIDATES // 8, _CANDIDATES + 1) / _CANDIDATES
        errors = []
        for clip in candidates.double():
            step = clip / levels
            beyond = (middles - clip).clamp(min=0)
            error = torch.where(beyond > 0, beyond.square(), step.square() / 12)
            # Numbers below half a step are rounded to 0, and as far off as they are large.
            error = torch.where(middles < step / 2, middles.square(), error)
            errors.append((self._counts * error).sum())
        return float(candidates[int(torch.stack(errors).argmin())])


OBSERVERS: dict[str, Callable[[], MinMax]] = {"histogram": Histogram, "minmax": MinMax}
