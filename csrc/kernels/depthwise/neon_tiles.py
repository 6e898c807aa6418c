"""Writes the depthwise kernel's inner loops in AArch64 assembly, for an element type.

    python csrc/kernels/depthwise/neon_tiles.py f32 > csrc/kernels/depthwise/neon_tiles_f32.inc
    python csrc/kernels/depthwise/neon_tiles.py f16 > csrc/kernels/depthwise/neon_tiles_f16.inc
    python csrc/kernels/depthwise/neon_tiles.py half > csrc/kernels/depthwise/neon_tiles_half.inc
    python csrc/kernels/depthwise/neon_tiles.py bf16 > csrc/kernels/depthwise/neon_tiles_bf16.inc

Why by hand: from intrinsics gcc 12 makes 2.6 instructions for each multiply-add of a 3x3 kernel and
4.2 of a 5x5 one, most of them spills and addresses. This takes 1.4, and of float16 1.45 and 1.35;
where that is only stored (`half`, `bf16`) 2.4 and 1.8 with the conversions, and gcc 3.6 and 3.0.

A tile's sums fill 16 registers, or 8 where few pixels are left. 4 or 2 pixels by 4 vectors of
channels (a panel of float32, two of float16) take the fewest instructions for 3x3, but leave no
room for a row of 5x5 weights: those, and channels that are left, go by 8 or 4 pixels and 2 vectors,
and a last vector of float16 by itself. The other registers hold weights and inputs, each loaded
once a tile and as early as a register is free for it. Where a tile takes two panels, neon_rows.inc
has laid their weights side by side, so that one load serves both.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from neon_elements import ELEMENTS, PANEL

REGISTERS = 32
# Pixels and vectors of the tiles, by the size of the convolution.
FOUR, TWO, ONE = ((4, 4), (2, 4)), ((8, 2), (4, 2)), ((8, 1), (4, 1))
SHAPES = {
    "f32": {3: FOUR + TWO, 5: TWO},
    "f16": {3: FOUR + TWO + ONE, 5: TWO + ONE},
    "half": {3: FOUR + TWO, 5: TWO},
    "bf16": {3: FOUR + TWO, 5: TWO},
}


class Tile:
    """`pixels` outputs by `vectors` vectors of channels of a size x size convolution."""

    def __init__(self, element: str, size: int, stride: int, pixels: int, vectors: int) -> None:
        self.element = ELEMENTS[element]
        self.size, self.stride, self.pixels, self.vectors = size, stride, pixels, vectors
        self.columns = (pixels - 1) * stride + size  # input pixels of a row that it reads
        self.first_sum = REGISTERS - pixels * vectors

    def sums(self, pixel: int) -> tuple[int, int]:
        """The first register and how many."""
        return self.first_sum + pixel * self.vectors, self.vectors

    def clamp(self, operation: str, bound: str) -> Iterator[str]:
        vector = self.element.vector
        yield f"ld1r {{v0.{vector}}}, [%[{bound}]]"
        for r in range(self.first_sum, REGISTERS):
            yield f"{operation} v{r}.{vector}, v{r}.{vector}, v0.{vector}"

    def is_half_panel(self) -> bool:
        return self.vectors * self.element.lanes < PANEL

    def tap(self) -> str:
        """From the weights of one tap to those of the next."""
        channels = max(PANEL, self.vectors * self.element.lanes)
        return "%[tap]" if self.is_half_panel() else f"#{channels * self.element.bytes}"

    def load(self, operand: tuple[str, int, int], register: int) -> Iterator[str]:
        kind, row, at = operand
        if kind == "weights":
            yield self.element.load(register, self.vectors, f"[%[weights]], {self.tap()}")
        else:
            if at == 0:
                yield f"add %[input], %[row{row}], %[offset]"
            yield self.element.load(register, self.vectors, "[%[input]], %[step]")

    def products(self) -> Iterator[str]:
        """All multiply-adds, and the loads as far ahead of them as registers allow."""
        uses = {  # of an input: the outputs it reaches, each with the tap between them
            (i, at): [
                (p, at - p * self.stride)
                for p in range(self.pixels)
                if 0 <= at - p * self.stride < self.size
            ]
            for i in range(self.size)
            for at in range(self.columns)
        }
        loads = []  # in the order of first use, which is that of memory too
        for i, at in uses:
            loads += [("weights", i, at)] * (at < self.size) + [("input", i, at)]
        free = list(range(0, self.first_sum - self.vectors + 1, self.vectors))
        held, stored = {}, set()  # where operands are; the last one loaded, until it is widened

        def load_next() -> Iterator[str]:
            yield from widen(*stored)
            held[loads[0]] = free.pop(0)
            stored.add(loads[0])
            yield from self.load(loads[0], held[loads.pop(0)])

        def widen(*operands: tuple[str, int, int]) -> Iterator[str]:
            for operand in stored.intersection(operands):
                stored.remove(operand)
                yield from self.element.widen(held[operand], self.vectors)

        for (i, at), outputs in uses.items():
            while ("input", i, at) not in held:
                yield from load_next()
            x = held[("input", i, at)]
            for p, j in outputs:
                for v in range(self.vectors):
                    if loads and free:
                        yield from load_next()
                    yield from widen(("input", i, at), ("weights", i, j))
                    total = self.first_sum + p * self.vectors + v
                    w, vector = held[("weights", i, j)] + v, self.element.vector
                    yield f"fmla v{total}.{vector}, v{x + v}.{vector}, v{w}.{vector}"
            free.append(held.pop(("input", i, at)))
            last = at - (self.pixels - 1) * self.stride  # the tap that no later input meets
            if last >= 0:
                free.append(held.pop(("weights", i, last)))

    def loops(self) -> Iterator[str]:
        pixels = range(self.pixels)
        half = self.is_half_panel()
        yield "1:"  # the channels of some pixels
        yield "mov %[weights], %[first_weights]"
        if half:
            yield "mov %[turn], %[first_turn]"
        yield "add %[end], %[offset], %[channels]"
        yield "2:"  # a tile
        yield from self.element.repeat(  # the biases
            self.first_sum, self.vectors, self.pixels, self.vectors, "%[weights]", self.tap()
        )
        yield from self.products()
        yield from self.clamp("fmax", "low")
        yield "cbz %[high], 3f"
        yield from self.clamp("fmin", "high")
        yield "3:"
        for p in pixels:
            yield from self.element.store(*self.sums(p), "[%[output]], %[output_step]")
        yield "add %[output], %[output], %[next_output]"
        yield f"add %[offset], %[offset], #{self.element.bytes * self.element.lanes * self.vectors}"
        if half:  # to the other half of the panel, or from there to the next panel
            yield "add %[weights], %[weights], %[turn]"
            yield "sub %[turn], %[turns], %[turn]"
        yield "cmp %[offset], %[end]"
        yield "b.ne 2b"
        yield "add %[offset], %[offset], %[next_pixels]"
        yield "add %[output], %[output], %[next_output_pixels]"
        yield "subs %[tiles], %[tiles], #1"
        yield "b.ne 1b"


def main() -> None:
    (element,) = sys.argv[1:]
    print("// Written by neon_tiles.py, which explains it.")
    for size, shapes in SHAPES[element].items():
        for stride in (1, 2):
            for pixels, vectors in shapes:
                lines = Tile(element, size, stride, pixels, vectors).loops()
                print(f"SEAFORMER_TILES({size}, {stride}, {pixels}, {vectors},")
                print("\n".join(f'"{line}\\n"' for line in lines) + ")")


if __name__ == "__main__":
    main()
