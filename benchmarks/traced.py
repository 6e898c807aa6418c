"""The layers and blocks of the family that trace_shapes.py wrote to shapes/."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

SHAPES = Path(__file__).with_name("shapes")


@dataclass(frozen=True)
class Shape:
    """One row: where in the family it stands first, and its sizes by their columns' names."""

    kind: str
    module: str
    sizes: dict[str, int]

    def __getitem__(self, column: str) -> int:
        return self.sizes[column]

    @property
    def text(self) -> str:
        """The sizes in the order of the columns."""
        return "x".join(map(str, self.sizes.values()))


def shapes(kind: str, variant: str = "") -> list[Shape]:
    """The rows of a kind, equal sizes once; of one variant only if it is given."""
    with (SHAPES / f"{kind}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    first: dict[tuple[int, ...], Shape] = {}
    for row in rows:
        module = row.pop("module")
        sizes = {column: int(value) for column, value in row.items()}
        if module.startswith(variant):
            first.setdefault(tuple(sizes.values()), Shape(kind, module, sizes))
    return list(first.values())
