"""How AArch64 assembly spells the element types that the tile generators write loops for."""

from __future__ import annotations

from typing import NamedTuple

PANEL = 16  # channels whose weights lie side by side, as core/panel.h has it


class Element(NamedTuple):
    """A type: the arrangement of a whole vector, a scalar's letter, its size."""

    vector: str
    scalar: str
    bytes: int

    @property
    def lanes(self) -> int:
        """Of a vector."""
        return 16 // self.bytes

    def registers(self, first: int, count: int) -> str:
        """The register list that ld1 and st1 take."""
        return "{" + ", ".join(f"v{first + i}.{self.vector}" for i in range(count)) + "}"


ELEMENTS = {"f32": Element("4s", "s", 4), "f16": Element("8h", "h", 2)}
