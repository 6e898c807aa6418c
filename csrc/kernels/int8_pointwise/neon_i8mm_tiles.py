"""Writes the int8 pointwise kernel's inner loops of matrix products (SMMLA) in AArch64 assembly.

    cd csrc/kernels/int8_pointwise && python neon_i8mm_tiles.py > neon_i8mm_tiles.inc

Why by hand: from intrinsics gcc 12 makes 2.5 instructions for each product of 32 multiply-adds at
64 input channels. This takes 1.7.

A product takes eight input channels of two pixels, and of two output channels, and adds to a
register of four sums: two rows, the pixels', of two. A tile is two pairs of pixels by a panel; its
sums stay in v16 to v31, those of a pair side by side. Weights have been laid out so for the call
(neon_i8mm.cpp), and biases, multipliers and offsets as sums lie. Inputs come for 32 channels into
v0 to v7, where rows of two pixels are put together, with the help of v12; weights into v8 to v11
and v12 to v15.

There are loops for one number of input channels each, which write int8 without a residual, pixels
or quads, and loops for any, as in neon_dot_tiles.py.

What follows the sums works on pairs of pixels as far as it can: numbers of 8 bits are taken apart.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from neon_dot_tiles import FLOAT, INT8_FLOAT, PART_GROUP, QUADS, RESIDUAL_ZERO, STRAIGHT, to_next
from neon_elements import register_list

PIXELS, PAIRS, MATRICES = 4, 2, 8  # of a tile, and of a pair's sums
WEIGHTS, SUMS, SPARE = 8, 16, 12  # first registers
# Of MatrixTiles in neon_i8mm.cpp, in its order.
FIELDS = (
    *("input", "pixel1", "pixel2", "pixel3", "next", "weights", "panel", "back", "last"),
    *("output", "output_stride", "output_back", "output_panel"),
    *("residual", "residual_stride", "residual_panel", "tiles", "panels"),
    *("odd", "step8", "step16", "last_input", "more", "constants"),
)
# Bits of `odd`.
EIGHT, SIXTEEN, NO_LOOP, ONE_BLOCK, NO_BLOCK = range(5)
# Beyond the bits of `more` that dot products have too.
UNFINISHED = 6
# Bytes from the biases of a panel to what else its weights begin with.
FACTORS, OFFSETS, TAPS = 256, 384, 512


def field(name: str) -> str:
    return f"[%[call], #{8 * FIELDS.index(name)}]"


def four(arrangement: str, first: int) -> str:
    return register_list(arrangement, first, 4)


class Tiles:
    """Tiles of some panels.

    Args:
        depth: the number of input channels; None for any, and every form of output.
        quads: whether quads are written, of a given depth, or read, of any.
    """

    def __init__(self, depth: int | None, *, quads: bool) -> None:
        self.depth, self.any = depth, depth is None
        self.reads_quads, self.writes_quads = quads and self.any, quads and not self.any
        self.pointers = range(1 if self.reads_quads else PIXELS)

    def load_inputs(self, channels: int, step: str) -> Iterator[str]:
        """Up to 32 channels of all pixels; a step beyond them is given."""
        if self.reads_quads:
            quads = channels // 4
            for first in range(0, quads, 4):
                some = min(4, quads - first)
                by = step if step and first + some == quads else f"#{16 * some}"
                yield f"ld1 {register_list('16b', first, some)}, [%[in0]], {by}"
            return
        for p in self.pointers:
            registers = "{" + f"v{2 * p}.8b" + "}" if channels == 8 else ""
            registers = registers or register_list("16b", 2 * p, channels // 16)
            yield f"ld1 {registers}, [%[in{p}]], {step or f'#{channels}'}"

    def join_rows(self, channels: int) -> tuple[list[str], list[tuple[int, int]]]:
        """Puts rows of two pixels together.

        Returns:
            The code, and for every eight channels where those of both pairs are.
        """
        if self.reads_quads:  # two quads are eight channels of two pairs
            sources = [(2 * i, 2 * i + 1) for i in range(channels // 8)]
            arrangement = "4s"
        else:  # eight channels of two pixels, or sixteen
            firsts = [4 * p + half for half in range((channels + 15) // 16) for p in range(PAIRS)]
            sources = [(first, first + 2) for first in firsts]
            arrangement = "2d"
        code, results, free = [], [], SPARE
        for one, other in sources:
            code.append(f"zip1 v{free}.{arrangement}, v{one}.{arrangement}, v{other}.{arrangement}")
            if channels > 8 or self.reads_quads:
                code.append(
                    f"zip2 v{other}.{arrangement}, v{one}.{arrangement}, v{other}.{arrangement}"
                )
            results.append((free, other))
            free = one
        if self.reads_quads:
            return code, results
        pairs = [(results[i], results[i + 1]) for i in range(0, len(results), PAIRS)]
        rows = [(first[half], second[half]) for first, second in pairs for half in range(2)]
        return code, rows[: channels // 8]

    def products(self, rows: tuple[int, int], half: int, weights: int) -> list[str]:
        first = SUMS + 4 * half
        return [
            f"smmla v{first + MATRICES * p + m}.4s, v{rows[p]}.16b, v{weights + m}.16b"
            for m in range(4)
            for p in range(PAIRS)
        ]

    def rows_by_weights(self, rows: list[tuple[int, int]], last_step: str = "#64") -> Iterator[str]:
        """Weights come while those before are in use, once v12 is free."""
        halves = [(row, half) for row in rows for half in range(2)]
        slots = [WEIGHTS, WEIGHTS, *(WEIGHTS + 4 * (i % 2 == 0) for i in range(2, len(halves)))]
        steps = ["#64"] * (len(halves) - 1) + [last_step]
        loads = [
            f"ld1 {four('16b', slot)}, [%[at]], {step}"
            for slot, step in zip(slots, steps, strict=True)
        ]
        yield loads[0]
        for i, (row, half) in enumerate(halves):
            first, *others = self.products(row, half, slots[i])
            following = loads[i + 1 : i + 2]
            yield first
            yield from [*following, *others] if i > 1 else [*others, *following]

    def block(self, channels: int, step: str = "", weights_step: str = "#64") -> Iterator[str]:
        yield from self.load_inputs(channels, step)
        code, rows = self.join_rows(channels)
        yield from code
        yield from self.rows_by_weights(rows, weights_step)

    def last_twelve(self) -> Iterator[str]:
        """Eight input channels and four, behind which rows are zero."""
        for p in self.pointers:
            yield f"ldr s{2 * p + 1}, [%[in{p}], #8]"
            yield f"ld1 {{v{2 * p}.8b}}, [%[in{p}]], %[next]"
        rows = []
        for first in 0, 1:
            for one in first, first + 4:
                yield f"zip1 v{one}.2d, v{one}.2d, v{one + 2}.2d"
            rows.append((first, first + 4))
        yield from self.rows_by_weights(rows, "%[back]")

    def straight_products(self) -> Iterator[str]:
        """Of all input channels; the last loads lead on to the next tile."""
        assert self.depth is not None
        for first in range(0, self.depth, 32):
            channels = min(32, self.depth - first)
            if channels == 28:
                yield from self.block(16)
                yield from self.last_twelve()
            elif first + channels == self.depth:
                yield from self.block(channels, "%[next]", "%[back]")
            else:
                yield from self.block(channels)

    def any_products(self) -> Iterator[str]:
        yield "mov %[at], %[taps]"
        yield "cbz %[odd], 6f"
        yield f"tbnz %[odd], #{NO_BLOCK}, 33f"
        yield f"tbz %[odd], #{EIGHT}, 4f"
        yield f"ldr %[count], {field('step8')}"
        yield from self.block(8, "%[count]")
        yield "4:"
        yield f"tbz %[odd], #{SIXTEEN}, 5f"
        yield f"ldr %[count], {field('step16')}"
        yield from self.block(16, "%[count]")
        yield "5:"
        yield f"tbnz %[odd], #{NO_LOOP}, 8f"
        yield f"tbnz %[odd], #{ONE_BLOCK}, 7f"
        yield "6:"
        yield from self.block(32)
        yield "cmp %[at], %[last]"
        yield "b.ne 6b"
        yield "7:"
        yield from self.block(32, "%[next]")
        yield "8:"
        yield "cbnz %[more], 81f"

    def part_group(self) -> Iterator[str]:
        """Less than eight input channels, from an array of two quads a tile."""
        yield "ld1 {v0.16b, v1.16b}, [%[last_input]], #32"
        yield f"zip1 v{SPARE}.4s, v0.4s, v1.4s"
        yield "zip2 v1.4s, v0.4s, v1.4s"
        yield from self.rows_by_weights([(SPARE, 1)])

    def all_sums(self, operation: str) -> Iterator[str]:
        """They begin as the biases, and end there if more input channels follow."""
        if self.any:
            yield "mov %[count], %[weights]"
            for first in range(SUMS, SUMS + PAIRS * MATRICES, 4):
                yield f"{operation} {four('4s', first)}, [%[count]], #64"
            return
        for pair in range(PAIRS):
            first = SUMS + MATRICES * pair
            yield f"ld1 {four('4s', first)}, [%[weights]]"
            yield f"ld1 {four('4s', first + 4)}, [%[biases]]"

    def load_multipliers(self) -> Iterator[str]:
        for half in range(2):
            yield f"ld1 {four('4s', 8 + 4 * half)}, [%[factors{half}]]"

    def scaled(self, pair: int, to: int) -> Iterator[str]:
        """The sums of a pair, in eight registers, as floats that hold the rounded numbers."""
        for half in range(2):
            yield f"ld1 {four('4s', to + 4 * half)}, [%[offsets{half}]]"
        for m in range(MATRICES):
            total = SUMS + MATRICES * pair + m
            yield f"fmla v{to + m}.4s, v{total}.4s, v{8 + m}.4s"

    def store_int8(self) -> Iterator[str]:
        for pair in range(PAIRS):
            yield from self.scaled(pair, 0)
            for m in range(0, MATRICES, 2):
                yield f"uzp1 v{m}.8h, v{m}.8h, v{m + 1}.8h"
            for m in 0, 4:
                yield f"sqxtn v{m}.8b, v{m}.8h"
                yield f"sqxtn2 v{m}.16b, v{m + 2}.8h"
            for i in 1, 2:
                yield f"uzp{i} v{i}.8h, v0.8h, v4.8h"
            for i in 1, 2:
                yield f"st1 {{v{i}.16b}}, [%[output]], %[output_stride]"

    def store_with_residual(self, *, zero: bool) -> Iterator[str]:
        for pair in range(PAIRS):
            yield from self.scaled(pair, 0)
            if pair == 0:  # whose sums are done with
                yield f"ldr %[count], {field('constants')}"
                yield "ld2r {v16.4s, v17.4s}, [%[count]]"
            for m in range(0, MATRICES, 2):
                yield f"uzp1 v{m}.8h, v{m}.8h, v{m + 1}.8h"
            for m in 0, 4:
                for i in 1, 2:
                    yield f"uzp{i} v{m + 2 * i - 1}.4s, v{m}.4s, v{m + 2}.4s"
            for pixel in 1, 3:
                yield "ld1 {v0.16b}, [%[residual]], %[residual_stride]"
                if zero:
                    yield "ssubl2 v2.8h, v0.16b, v16.16b"
                    yield "ssubl v0.8h, v0.8b, v16.8b"
                    for r in 0, 2:
                        yield f"shl v{r}.8h, v{r}.8h, #3"
                else:
                    yield "sshll2 v2.8h, v0.16b, #3"
                    yield "sshll v0.8h, v0.8b, #3"
                for r, half in (0, pixel), (2, pixel + 4):
                    yield f"sqrdmlah v{half}.8h, v{r}.8h, v17.8h"
                yield f"sqxtn v{pixel}.8b, v{pixel}.8h"
                yield f"sqxtn2 v{pixel}.16b, v{pixel + 4}.8h"
                yield f"st1 {{v{pixel}.16b}}, [%[output]], %[output_stride]"

    def store_quads(self) -> Iterator[str]:
        """Numbers of four pixels side by side, by a table of where they are."""
        yield from self.scaled(0, 0)
        yield from self.scaled(1, SUMS)  # where the sums of the first pair were
        yield f"ldr %[count], {field('constants')}"
        yield "ldr q24, [%[count]]"
        for m in range(0, MATRICES, 2):
            for i in m, m + 1:
                yield f"uzp1 v{i}.8h, v{i}.8h, v{SUMS + i}.8h"
            yield f"sqxtn v{m}.8b, v{m}.8h"
            yield f"sqxtn2 v{m}.16b, v{m + 1}.8h"
            yield f"tbl v{m}.16b, {{v{m}.16b}}, v24.16b"
            step = "%[output_back]" if m + 2 == MATRICES else "%[output_stride]"
            yield f"st1 {{v{m}.16b}}, [%[output]], {step}"

    def store_rows(self, first: int, to: int) -> Iterator[str]:
        """Of a pair of pixels, whose numbers are in eight registers."""
        for i in 1, 2:
            for v in range(4):
                m = first + 2 * v
                yield f"zip{i} v{to + v}.2d, v{m}.2d, v{m + 1}.2d"
            yield f"st1 {four('4s', to)}, [%[output]], %[output_stride]"

    def store_rounded(self) -> Iterator[str]:
        """Less their zero point, and clamped."""
        for pair in range(PAIRS):
            yield from self.scaled(pair, 0)
            if pair == 0:  # whose sums are done with
                yield f"ldr %[count], {field('constants')}"
                yield f"ld4r {four('4s', 16)}, [%[count]]"
            for operation, operand in (("fsub", 17), ("fmax", 18), ("fmin", 19)):
                for m in range(MATRICES):
                    yield f"{operation} v{m}.4s, v{m}.4s, v{operand}.4s"
            yield from self.store_rows(0, 20)

    def store_float(self) -> Iterator[str]:
        """What sums stand for."""
        yield f"ldr %[count], {field('constants')}"
        yield "ld1r {v0.4s}, [%[count]]"
        for m in range(PAIRS * MATRICES):
            yield f"fsub v{SUMS + m}.4s, v{SUMS + m}.4s, v0.4s"
        for m in range(PAIRS * MATRICES):
            yield f"fmul v{SUMS + m}.4s, v{SUMS + m}.4s, v{8 + m % MATRICES}.4s"
        for pair in range(PAIRS):
            yield from self.store_rows(SUMS + MATRICES * pair, 0)

    def more_outputs(self) -> Iterator[str]:
        """What is not int8 without a residual, and what follows a part of eight channels."""
        yield "81:"
        yield f"tbz %[more], #{PART_GROUP}, 82f"
        yield from self.part_group()
        yield "82:"
        yield f"tst %[more], #{(2 << UNFINISHED) - 2}"
        yield "b.eq 80b"
        yield f"tbnz %[more], #{UNFINISHED}, 87f"
        yield from self.load_multipliers()
        yield f"tbnz %[more], #{FLOAT}, 86f"
        yield f"tbnz %[more], #{INT8_FLOAT}, 85f"
        yield f"tbnz %[more], #{QUADS}, 84f"
        yield f"tbnz %[more], #{RESIDUAL_ZERO}, 83f"
        yield from self.store_with_residual(zero=False)
        yield "b 9b"
        yield "83:"
        yield from self.store_with_residual(zero=True)
        yield "b 9b"
        yield "84:"
        yield from self.store_quads()
        yield "b 9b"
        yield "85:"
        yield from self.store_rounded()
        yield "b 9b"
        yield "86:"
        yield from self.store_float()
        yield "b 9b"
        yield "87:"
        yield from self.all_sums("st1")
        yield "b 9b"

    def loops(self) -> Iterator[str]:
        names = ["weights", "output", "output_stride", "output_back", "next", "back"]
        if self.any:
            names += ["residual", "residual_stride", "odd", "more", "last_input"]
        for name in names:
            yield f"ldr %[{name}], {field(name)}"
        yield "1:"  # a panel
        yield f"ldr %[in0], {field('input')}"
        for p in self.pointers[1:]:
            yield f"ldr %[in{p}], {field(f'pixel{p}')}"
        yield "add %[biases], %[weights], #64"
        for array, first in ("factors", FACTORS), ("offsets", OFFSETS):
            for half in range(2):
                yield f"add %[{array}{half}], %[weights], #{first + 64 * half}"
        yield f"add %[taps], %[weights], #{TAPS}"
        if self.any:
            yield f"ldr %[last], {field('last')}"
            yield "add %[last], %[last], %[taps]"
        else:
            yield "mov %[at], %[taps]"
        yield f"ldr %[tile], {field('tiles')}"
        yield "2:"  # a tile
        yield from self.all_sums("ld1")
        if self.any:
            yield from self.any_products()
            yield "80:"
        else:
            yield from self.straight_products()
        yield from self.load_multipliers()
        yield from self.store_quads() if self.writes_quads else self.store_int8()
        yield from to_next(field, self.any)
        if not self.any:
            return
        yield "b 99f"
        yield "33:"  # to the next tile, where there were less than eight input channels
        for p in self.pointers:
            yield f"add %[in{p}], %[in{p}], %[next]"
        yield "b 8b"
        yield from self.more_outputs()
        yield "99:"


def main() -> None:
    print("// Written by neon_i8mm_tiles.py, which explains it.")
    for depth in (*STRAIGHT, None):
        for quads in (False, True):
            print(f"SEAFORMER_TILES({depth or 0}, {str(quads).lower()},")
            lines = Tiles(depth, quads=quads).loops()
            print("\n".join(f'"{line}\\n"' for line in lines) + ")")


if __name__ == "__main__":
    main()
