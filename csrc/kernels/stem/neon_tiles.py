"""Writes the stem kernel's inner loops in AArch64 assembly, for an element type.

    python csrc/kernels/stem/neon_tiles.py f32 > csrc/kernels/stem/neon_tiles_f32.inc
    python csrc/kernels/stem/neon_tiles.py f16 > csrc/kernels/stem/neon_tiles_f16.inc
    python csrc/kernels/stem/neon_tiles.py half > csrc/kernels/stem/neon_tiles_half.inc
    python csrc/kernels/stem/neon_tiles.py bf16 > csrc/kernels/stem/neon_tiles_bf16.inc

Why by hand: from intrinsics gcc 12 makes 1.4 instructions for each multiply-add, with one for every
vector of sums that is begun or stored. This takes 1.2.

A tile is 4 output pixels by a panel of 16 channels, of float16 8 pixels, its sums in v16 to v31.
Row by row of the image, the columns below all of them are loaded as scalars in lanes of v0 to v7,
two vectors with each ldp, and the weights of each tap with one ld1 into v8 to v15, all as early as
registers are free. A fifth pixel would leave too few of them for rows that have three channels side
by side. Of `half` and
`bf16`, rows and weights are floats, and only outputs are narrowed to float16 or bfloat16.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))
from neon_elements import ELEMENTS, PANEL, register_list

FIRST_SUM, SUMS = 16, 16
FIRST_WEIGHT = 8
OUTPUTS = {"f32": "float", "f16": "Half", "half": "Half", "bf16": "BFloat16"}


class Product(NamedTuple):
    """A pixel's multiply-adds with the weights of a tap."""

    pixel: int
    scalars: tuple[int, int]  # row, and a pair of vectors of it
    lane: int  # within the pair
    weights: tuple[int, int, int]  # channel, row, column


class Tile:
    """For rows of one channel, nine of them, or of three side by side."""

    def __init__(self, element: str, channels: int) -> None:
        self.element = ELEMENTS[element]
        self.vector, lanes = self.element.vector, self.element.lanes
        self.vectors = PANEL // lanes
        self.pixels = SUMS // self.vectors
        self.bytes = 16 // lanes  # of a number
        self.channels, self.rows = channels, 9 // channels
        self.numbers = (2 * self.pixels + 1) * channels  # of a row
        self.pair = 2 * lanes
        self.last_pair = self.numbers // self.pair  # a single vector, which ends with the row

    def sums(self, pixel: int) -> str:
        return self.element.registers(FIRST_SUM + pixel * self.vectors, self.vectors)

    def last_start(self) -> int:
        """Where the last vector of a row starts, unless it is a single number."""
        at_end = self.numbers - self.element.lanes
        return self.pair * self.last_pair if self.channels == 1 else at_end

    def products(self) -> Iterator[Product]:
        for row in range(self.rows):
            for channel in range(self.channels):
                for column in range(3):
                    for p in range(self.pixels):
                        at = (2 * p + column) * self.channels + channel
                        pair = min(at // self.pair, self.last_pair)
                        start = self.last_start() if pair == self.last_pair else self.pair * pair
                        yield Product(p, (row, pair), at - start, (channel, row, column))

    def load_scalars(self, row: int, pair: int, to: int) -> Iterator[str]:
        if pair == 0:
            yield f"add %[at], %[row{row}], %[offset]"
        if pair < self.last_pair:
            yield f"ldp q{to}, q{to + 1}, [%[at], #{32 * pair}]"
        else:
            width = self.element.scalar if self.channels == 1 else "q"
            yield f"ldr {width}{to}, [%[at], #{self.bytes * self.last_start()}]"

    def load_weights(self, channel: int, row: int, column: int, to: int) -> Iterator[str]:
        step = f"#{PANEL * self.bytes}"
        if self.channels == 3 and column == 2 and (channel, row) != (2, 2):
            step = "%[next_channel]" if channel < 2 else "%[next_row]"
        yield f"ld1 {self.element.registers(to, self.vectors)}, [%[weights]], {step}"

    def multiply(self) -> Iterator[str]:
        """All multiply-adds, and the loads before them."""
        products = list(self.products())
        last_use = {key: i for i, p in enumerate(products) for key in (p.scalars, p.weights)}
        loads = list(dict.fromkeys(key for p in products for key in (p.weights, p.scalars)))
        # Registers for scalars and for weights.
        free = {2: [0, 2, 4, 6], 3: list(range(FIRST_WEIGHT, FIRST_SUM, self.vectors))}
        held: dict[tuple[int, ...], int] = {}

        def load_next() -> Iterator[str]:
            key = loads.pop(0)
            held[key] = free[len(key)].pop(0)
            yield from (self.load_scalars, self.load_weights)[len(key) - 2](*key, held[key])

        for i, product in enumerate(products):
            while product.scalars not in held or product.weights not in held:
                yield from load_next()
            vector, lane = divmod(product.lane, self.element.lanes)
            scalar = f"v{held[product.scalars] + vector}.{self.element.scalar}[{lane}]"
            for v in range(self.vectors):
                total, weight = (
                    FIRST_SUM + product.pixel * self.vectors + v,
                    held[product.weights] + v,
                )
                yield f"fmla v{total}.{self.vector}, v{weight}.{self.vector}, {scalar}"
                if loads and free[len(loads[0])]:
                    yield from load_next()
            for key in (product.scalars, product.weights):
                if last_use[key] == i:
                    free[len(key)].append(held.pop(key))

    def store(self, pixel: int) -> Iterator[str]:
        outputs = self.sums(pixel)
        if self.element.converts:
            first, to = FIRST_SUM + pixel * self.vectors, pixel * self.vectors // 2
            narrow = self.element.narrowing
            for v in range(0, self.vectors, 2):
                yield f"{narrow} v{to + v // 2}.4h, v{first + v}.4s"
                yield f"{narrow}2 v{to + v // 2}.8h, v{first + v + 1}.4s"
            outputs = register_list("8h", to, self.vectors // 2)
        yield f"st1 {outputs}, [%[output]], %[output_step]"

    def loops(self) -> Iterator[str]:
        pixels = range(self.pixels)
        yield "1:"  # the channels of some pixels
        yield "mov %[weights], %[first_weights]"
        yield "mov %[panel], %[panels]"
        yield "2:"  # a tile
        for p in pixels[:-1]:
            yield f"ld1 {self.sums(p)}, [%[weights]]"  # the biases
        yield f"ld1 {self.sums(pixels[-1])}, [%[weights]], #{PANEL * self.bytes}"
        yield from self.multiply()
        yield f"ld1r {{v0.{self.vector}}}, [%[low]]"
        for r in range(FIRST_SUM, FIRST_SUM + SUMS):
            yield f"fmax v{r}.{self.vector}, v{r}.{self.vector}, v0.{self.vector}"
        for p in pixels:
            yield from self.store(p)
        yield "add %[output], %[output], %[next_panel]"
        yield "subs %[panel], %[panel], #1"
        yield "b.ne 2b"
        yield "add %[output], %[output], %[next_pixels]"
        yield f"add %[offset], %[offset], #{2 * self.pixels * self.channels * self.bytes}"
        yield "subs %[tiles], %[tiles], #1"
        yield "b.ne 1b"


def main() -> None:
    (element,) = sys.argv[1:]
    print("// Written by neon_tiles.py, which explains it.")
    for channels in (1, 3):
        print(f"SEAFORMER_TILES({channels}, {OUTPUTS[element]},")
        print("\n".join(f'"{line}\\n"' for line in Tile(element, channels).loops()) + ")")


if __name__ == "__main__":
    main()
