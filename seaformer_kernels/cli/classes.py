"""Classes: what they are called, their colours, and how much of an image they cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class Classes:
    """The labels that a model gives.

    Attributes:
        names: by label; None if they are not known.
        colours: by label, uint8 [labels, 3], RGB.
    """

    names: tuple[str, ...] | None
    colours: np.ndarray

    def name(self, label: int) -> str:
        """What to call a label."""
        return name_of(label, self.names)


def name_of(label: int, names: Sequence[str] | None) -> str:
    """The name of a class, or its number if it has none."""
    return names[label] if names else f"class {label}"


class Share(NamedTuple):
    """How much of something has a label."""

    label: int
    pixels: int
    share: float  # 0..1

    def __str__(self) -> str:
        return f"{self.share:.0%}" if self.share >= 0.005 else "<1%"


def shares_of(labels: np.ndarray) -> list[Share]:
    """The labels that occur, those of most pixels first."""
    return _shares(np.bincount(labels.ravel()))


def total(several: Sequence[Sequence[Share]]) -> list[Share]:
    """The shares in several images together."""
    counts = np.zeros(
        1 + max((s.label for shares in several for s in shares), default=-1), np.int64
    )
    for shares in several:
        for share in shares:
            counts[share.label] += share.pixels
    return _shares(counts)


def _shares(counts: np.ndarray) -> list[Share]:
    whole = counts.sum()
    order = np.argsort(-counts, kind="stable")
    return [Share(int(i), int(counts[i]), float(counts[i] / whole)) for i in order if counts[i]]
