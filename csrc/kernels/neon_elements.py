"""How AArch64 assembly spells the element types that the tile generators write loops for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

PANEL = 16  # channels whose weights lie side by side, as core/panel.h has it


class Element(NamedTuple):
    """A type: a vector of numbers, as arranged, a scalar's letter, and the vector in memory.

    Where that is another, what makes numbers of it and what narrows them.
    """

    vector: str
    scalar: str
    stored: str
    widening: str = ""
    narrowing: str = ""

    @property
    def lanes(self) -> int:
        """Of a vector."""
        return int(self.vector[:-1])

    @property
    def bytes(self) -> int:
        """Of an element in memory."""
        return {"h": 2, "s": 4}[self.stored[-1]]

    @property
    def converts(self) -> bool:
        """Whether numbers have another type than what is stored."""
        return self.stored != self.vector

    def registers(self, first: int, count: int) -> str:
        """The register list that ld1 and st1 take."""
        return register_list(self.vector, first, count)

    def load(self, first: int, count: int, at: str) -> str:
        """Vectors as they are stored, which `widen` makes numbers of."""
        return f"ld1 {register_list(self.stored, first, count)}, {at}"

    def widen(self, first: int, count: int) -> Iterator[str]:
        for r in range(first, first + count if self.converts else first):
            yield self.widening.format(f"v{r}.{self.vector}", f"v{r}.{self.stored}")

    def repeat(
        self, first: int, count: int, times: int, every: int, at: str, step: str
    ) -> Iterator[str]:
        """The same vectors, as numbers, in each of `times` places; then `at` goes on by `step`."""
        *others, last = range(first, first + times * every, every)
        if not self.converts:
            for place in others:
                yield self.load(place, count, f"[{at}]")
        yield self.load(last, count, f"[{at}], {step}")
        if self.converts:
            yield from self.widen(last, count)
            for place in others:
                for v in range(count):
                    yield f"mov v{place + v}.16b, v{last + v}.16b"

    def store(self, first: int, count: int, at: str) -> Iterator[str]:
        """Of numbers, which it narrows."""
        for r in range(first, first + count if self.converts else first):
            yield f"{self.narrowing} v{r}.{self.stored}, v{r}.{self.vector}"
        yield f"st1 {register_list(self.stored, first, count)}, {at}"


def register_list(arrangement: str, first: int, count: int) -> str:
    return "{" + ", ".join(f"v{first + i}.{arrangement}" for i in range(count)) + "}"


ELEMENTS = {
    "f32": Element("4s", "s", "4s"),
    "f16": Element("8h", "h", "8h"),
    # In memory alone, float32 in registers.
    "half": Element("4s", "s", "4h", "fcvtl {}, {}", "fcvtn"),
    "bf16": Element("4s", "s", "4h", "shll {}, {}, #16", "bfcvtn"),
}
