"""Writes the pointwise kernel's inner loops of matrix products (BFMMLA) in AArch64 assembly.

    cd csrc/kernels/pointwise && python neon_matrix_tiles.py > neon_matrix_tiles.inc

Why by hand: from intrinsics gcc 12 makes 1.8 instructions for each product of 32 multiply-adds at
512 input channels and 2.9 at 32, most of the rest moves and addresses. This takes 1.4 and 2.0.

A product takes four input channels of two pixels, and of two output channels, and adds to a
register of four sums: two rows, the pixels', of two. A tile is two such pairs of pixels, or one, by
the four vectors of a panel, or fewer. Its sums stay in v16 to v31, those of a pair side by side.
Eight input channels at a time: those of each pixel come into v0 to v3, and rows of two pixels are
put together in v4 to v7; weights come as they are packed, into v8 to v15 in turn. When all is
summed, rows are taken apart into v0 to v15, and the epilogue works on vectors of channels.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from neon_elements import PANEL, register_list

PIXELS, VECTORS = (4, 3, 2, 1), (4, 3, 2, 1)  # of tiles
ROWS, WEIGHTS, SUMS = 4, 8, 16  # first registers
# Of MatrixTiles in neon_bf16.cpp, in its order.
FIELDS = (
    *("input", "input_stride", "weights", "panel", "output", "output_stride"),
    *("multiplier", "multiplier_stride", "residual", "residual_stride"),
    *("bounds", "more", "tiles", "panels", "eights", "four", "last_input", "last_weights"),
    "biases",
)


def field(name: str) -> str:
    return f"[%[call], #{8 * FIELDS.index(name)}]"


def apart(pairs: tuple[int, int], to: tuple[int, int]) -> Iterator[str]:
    """The first and the second halves of two registers."""
    for i, operation in enumerate(("trn1", "trn2")):
        yield f"{operation} v{to[i]}.2d, v{pairs[0]}.2d, v{pairs[1]}.2d"


class Tile:
    """`pixels` pixels by `vectors` vectors of output channels."""

    def __init__(self, pixels: int, vectors: int) -> None:
        self.pixels, self.vectors = range(pixels), range(vectors)
        self.pairs, self.matrices = range((pixels + 1) // 2), range(2 * vectors)

    def second(self, pair: int) -> int:
        """The second pixel of a pair, or the first again where there is none."""
        return min(2 * pair + 1, len(self.pixels) - 1)

    def sums(self, pair: int, matrix: int) -> int:
        return SUMS + 8 * pair + matrix

    def row(self, pixel: int, vector: int) -> int:
        """Where a vector of a pixel is when sums have been taken apart."""
        return 4 * pixel + vector

    def load_matrices(self, first: int, at: str) -> Iterator[str]:
        """Up to four matrices of weights from `first` on, and what lies behind the last ones."""
        count = min(4, len(self.matrices) - first)
        if count > 0:
            yield f"ld1 {register_list('8h', WEIGHTS + first, count)}, [{at}], #{16 * count}"
        if first + 4 >= len(self.matrices) and len(self.matrices) < 8 and count > 0:
            yield f"add {at}, {at}, #{128 - 16 * len(self.matrices)}"

    def products(self, rows: int, matrices: range) -> Iterator[str]:
        """Of a group of input channels, whose rows of a pair are in v(rows + 2 * pair)."""
        for m in matrices:
            if m in self.matrices:
                for p in self.pairs:
                    to = self.sums(p, m)
                    yield f"bfmmla v{to}.4s, v{rows + 2 * p}.8h, v{WEIGHTS + m}.8h"

    def eights(self) -> Iterator[str]:
        yield f"ldr %[count], {field('eights')}"
        yield "cbz %[count], 31f"
        yield "3:"
        for p in self.pixels:
            yield f"ldr q{p}, [%[row{p}]], #16"
        yield from self.load_matrices(0, "%[at]")
        yield from self.load_matrices(4, "%[at]")
        for p in self.pairs:
            to = (ROWS + 2 * p, ROWS + 2 * p + 1)
            yield from apart((2 * p, self.second(p)), to)
        yield from self.products(ROWS, range(4))
        yield from self.load_matrices(0, "%[at]")
        yield from self.products(ROWS, range(4, 8))
        yield from self.load_matrices(4, "%[at]")
        yield "subs %[count], %[count], #1"
        yield from self.products(ROWS + 1, range(8))
        yield "b.ne 3b"
        yield "31:"

    def group(self, rows: list[str], at: str) -> Iterator[str]:
        """Four input channels, loaded from `rows`."""
        for p in self.pixels:
            yield f"ldr d{p}, {rows[p]}"
        yield from self.load_matrices(0, at)
        yield from self.load_matrices(4, at)
        for p in self.pairs:
            yield f"trn1 v{ROWS + 2 * p}.2d, v{2 * p}.2d, v{self.second(p)}.2d"
        yield from self.products(ROWS, range(8))

    def all_products(self) -> Iterator[str]:
        yield from self.eights()
        yield f"ldr %[count], {field('four')}"
        yield "cbz %[count], 4f"
        yield from self.group([f"[%[row{p}]]" for p in self.pixels], "%[at]")
        yield "4:"
        yield "cbz %[last_input], 5f"
        yield f"ldr %[at], {field('last_weights')}"
        yield from self.group(["[%[last_input]], #8" for _ in self.pixels], "%[at]")
        yield "5:"

    def biases(self) -> Iterator[str]:
        """As sums begin with them: two output channels twice."""
        yield "ld1 {v0.8h, v1.8h}, [%[weights]]"
        for v in range(4):
            operation, half = ("shll2", "8h") if v % 2 else ("shll", "4h")
            yield f"{operation} v{2 + v}.4s, v{v // 2}.{half}, #16"
        for v in range(4):
            to = (WEIGHTS + 2 * v, WEIGHTS + 2 * v + 1)
            yield from apart((2 + v, 2 + v), to)
        yield f"add %[at], %[call], #{8 * FIELDS.index('biases')}"
        for first in WEIGHTS, WEIGHTS + 4:
            yield f"st1 {register_list('4s', first, 4)}, [%[at]], #64"

    def begin_sums(self) -> Iterator[str]:
        yield f"add %[at], %[call], #{8 * FIELDS.index('biases')}"
        for p in self.pairs:
            for first in range(0, len(self.matrices), 4):
                count = min(4, len(self.matrices) - first)
                step = f", #{16 * count}" if count == 4 and first == 0 else ""
                registers = register_list("4s", self.sums(p, first), count)
                yield f"ld1 {registers}, [%[at]]{step}"
            if p + 1 < len(self.pairs) and len(self.matrices) >= 4:
                yield "sub %[at], %[at], #64"

    def each(self, operation: str, operand: int) -> Iterator[str]:
        for p in self.pixels:
            for v in self.vectors:
                r = self.row(p, v)
                yield f"{operation} v{r}.4s, v{r}.4s, v{operand}.4s"

    def move_pixel(self, operation: str, first: int, at: str) -> Iterator[str]:
        """Loads or stores the channels of a pixel in two registers, or one."""
        whole, half = divmod(len(self.vectors), 2)
        if whole == 2:
            yield f"{operation.replace('r', 'p')} q{first}, q{first + 1}, [{at}]"
        elif whole == 1:
            yield f"{operation} q{first}, [{at}]"
        if half:
            yield f"{operation} d{first + whole}, [{at}, #{16 * whole}]"

    def with_array(self, operation: str, array: str) -> Iterator[str]:
        yield f"ldr %[count], {field(array + '_stride')}"
        for p in self.pixels:
            yield from self.move_pixel("ldr", SUMS, f"%[{array}]")
            yield f"add %[{array}], %[{array}], %[count]"
            for v in self.vectors:
                widen, half = ("shll2", "8h") if v % 2 else ("shll", "4h")
                yield f"{widen} v{SUMS + 2 + v}.4s, v{SUMS + v // 2}.{half}, #16"
            for v in self.vectors:
                r = self.row(p, v)
                yield f"{operation} v{r}.4s, v{r}.4s, v{SUMS + 2 + v}.4s"

    def epilogue(self) -> Iterator[str]:
        for p in self.pairs:
            for v in self.vectors:
                to = (self.row(2 * p, v), self.row(2 * p + 1, v))
                yield from apart((self.sums(p, 2 * v), self.sums(p, 2 * v + 1)), to)
        yield f"ldp %[at], %[count], {field('bounds')}"
        yield "cbz %[at], 6f"
        yield f"ld1r {{v{SUMS}.4s}}, [%[at]]"
        yield from self.each("fmax", SUMS)
        yield "6:"
        yield "cbz %[count], 9f"
        yield "mov %[more], %[count]"
        yield "tbz %[more], #0, 7f"
        yield f"ld3r {register_list('4s', SUMS, 3)}, [%[at]]"
        yield from self.each("fmin", SUMS + 1)
        yield "tbz %[more], #1, 7f"
        yield f"fmov v{SUMS + 3}.4s, #3.0"
        yield from self.each("fadd", SUMS + 3)
        yield from self.each("fmul", SUMS + 2)
        yield "7:"
        yield "tbz %[more], #2, 8f"
        yield from self.with_array("fmul", "multiplier")
        yield "8:"
        yield "tbz %[more], #3, 9f"
        yield from self.with_array("fadd", "residual")
        yield "9:"
        yield f"ldr %[count], {field('output_stride')}"
        for p in self.pixels:
            for v in self.vectors:
                narrow, half = ("bfcvtn2", "8h") if v % 2 else ("bfcvtn", "4h")
                yield f"{narrow} v{self.row(p, v // 2)}.{half}, v{self.row(p, v)}.4s"
            yield from self.move_pixel("str", self.row(p, 0), "%[output]")
            yield "add %[output], %[output], %[count]"

    def loops(self) -> Iterator[str]:
        yield "1:"  # a panel
        yield f"ldr %[weights], {field('weights')}"
        yield from self.biases()
        yield f"ldr %[input], {field('input')}"
        for array in "output", "multiplier", "residual":
            yield f"ldr %[{array}], {field(array)}"
        yield f"ldr %[last_input], {field('last_input')}"
        yield f"ldr %[tile], {field('tiles')}"
        yield "2:"  # a tile
        yield from self.begin_sums()
        yield f"ldr %[count], {field('input_stride')}"
        yield "mov %[row0], %[input]"
        for p in self.pixels[1:]:
            yield f"add %[row{p}], %[row{p - 1}], %[count]"
        yield f"add %[input], %[row{self.pixels[-1]}], %[count]"
        yield f"add %[at], %[weights], #{2 * PANEL}"
        yield from self.all_products()
        yield from self.epilogue()
        yield "subs %[tile], %[tile], #1"
        yield "b.ne 2b"
        yield f"ldr %[count], {field('panel')}"
        yield "add %[weights], %[weights], %[count]"
        yield f"str %[weights], {field('weights')}"
        for array in "output", "multiplier", "residual":
            yield f"ldr %[count], {field(array)}"
            yield f"add %[count], %[count], #{2 * PANEL}"
            yield f"str %[count], {field(array)}"
        yield f"ldr %[count], {field('panels')}"
        yield "subs %[count], %[count], #1"
        yield f"str %[count], {field('panels')}"
        yield "b.ne 1b"


def main() -> None:
    print("// Written by neon_matrix_tiles.py, which explains it.")
    for pixels in PIXELS:
        for vectors in VECTORS:
            print(f"SEAFORMER_TILES({pixels}, {vectors},")
            print("\n".join(f'"{line}\\n"' for line in Tile(pixels, vectors).loops()) + ")")


if __name__ == "__main__":
    main()
