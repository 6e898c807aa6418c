"""Writes the int8 pointwise kernel's inner loops of dot products (SDOT) in AArch64 assembly.

    cd csrc/kernels/int8_pointwise && python neon_dot_tiles.py > neon_dot_tiles.inc

Why by hand: from intrinsics gcc 12 makes 1.6 instructions for each dot product of 16 multiply-adds
at 64 input channels, most of the rest moves and spills. This takes 1.28, all that follows the sums
included.

A dot product takes four input channels of a pixel, from a lane, and of four output channels. A tile
is 4 pixels by a panel of 16 output channels; its sums stay in v16 to v31. Inputs come with one load
for 32 channels of a pixel, into v0 to v7, weights of four input channels with one, into v8 to v11
and v12 to v15 in turn.

There are loops for one number of input channels each, without a branch but to the next tile, which
write int8 without a residual, pixels or quads, of which maps of few channels have most; and loops
for any number and every form of input and output. Those begin with what is beyond a multiple of 64
input channels; the last 64 stand behind the loop, where the last loads also lead on to the next
tile.

Sums are the bits of floats; a fused multiply-add with the offset scales and rounds them
(core/quantized.h), and their lower halves are numbers that only saturation is left for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from neon_elements import register_list

PIXELS, VECTORS = 4, 4  # of a tile
WEIGHTS, SUMS = 8, 16  # first registers
STRAIGHT = (16, 28, 32, 48, 64)  # input channels that have loops of their own
STEM = 28  # those of the network's first layer
# Of DotTiles in neon_dot.cpp, in its order.
FIELDS = (
    *("input", "pixel1", "pixel2", "pixel3", "next", "weights", "panel", "back", "last"),
    *("output", "output_stride", "output_back", "output_panel"),
    *("residual", "residual_stride", "residual_panel", "tiles", "panels"),
    *("odd", "step16", "step32", "last_input", "more", "constants"),
)
# Bits of `odd`, of which the lowest two count groups of four input channels, and of `more`.
SIXTEEN, THIRTY_TWO, NO_LOOP, ONE_BLOCK, NO_BLOCK = 2, 3, 4, 5, 6
PART_GROUP, RESIDUAL, RESIDUAL_ZERO, QUADS, INT8_FLOAT, FLOAT = range(6)
SPARE = (0, 4, 12)  # where four registers are free behind the products


def field(name: str) -> str:
    return f"[%[call], #{8 * FIELDS.index(name)}]"


def to_next(field: Callable[[str], str], any_depth: bool) -> Iterator[str]:
    """To the next tile, at 2, then the next panel, at 1; `field` is where a number of a call is."""
    yield "9:"
    yield "subs %[tile], %[tile], #1"
    yield "b.ne 2b"
    yield f"ldr %[count], {field('panel')}"
    yield "add %[weights], %[weights], %[count]"
    yield f"ldr %[count], {field('output_panel')}"
    yield "add %[output], %[output], %[count]"
    if any_depth:
        yield f"ldr %[count], {field('residual_panel')}"
        yield "add %[residual], %[residual], %[count]"
        yield f"ldr %[last_input], {field('last_input')}"
    yield f"ldr %[count], {field('panels')}"
    yield "subs %[count], %[count], #1"
    yield f"str %[count], {field('panels')}"
    yield "b.ne 1b"


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
        # Few inputs leave registers for the multipliers of a panel.
        self.resident = depth == 16
        self.multipliers = 4 if self.resident else WEIGHTS
        self.spare = (0, 8, 12) if self.resident else SPARE

    def input_lane(self, group: int, pixel: int) -> str:
        """Four input channels of a pixel, of those that were loaded last."""
        if self.reads_quads:
            return f"v{group}.4b[{pixel}]"
        if self.depth == STEM and group >= 4:  # the second load begins with the last group again
            return f"v{self.first_input(pixel) + 1}.4b[{group - 3}]"
        return f"v{self.first_input(pixel) + group // 4}.4b[{group % 4}]"

    def first_input(self, pixel: int) -> int:
        return pixel if self.resident else 2 * pixel

    def load_inputs(self, channels: int, step: str) -> Iterator[str]:
        """16 or 32 channels of all pixels; a step beyond them is given."""
        sixteens = channels // 16
        if self.reads_quads:
            for i in range(sixteens):
                by = step if step and i + 1 == sixteens else "#64"
                yield f"ld1 {four('16b', 4 * i)}, [%[in0]], {by}"
            return
        for p in self.pointers:
            if channels == STEM:
                yield f"ldr q{self.first_input(p)}, [%[in{p}]], #12"
                yield f"ld1 {{v{self.first_input(p) + 1}.16b}}, [%[in{p}]], {step}"
                continue
            registers = register_list("16b", self.first_input(p), sixteens)
            yield f"ld1 {registers}, [%[in{p}]], {step or f'#{channels}'}"

    def load_weights(self, group: int, step: str = "#64") -> str:
        return f"ld1 {four('16b', WEIGHTS + 4 * (group % 2))}, [%[at]], {step}"

    def products(self, group: int, *, weights: int | None = None) -> list[str]:
        w = WEIGHTS + 4 * (group % 2) if weights is None else weights
        return [
            f"sdot v{SUMS + VECTORS * p + v}.4s, v{w + v}.16b, {self.input_lane(group, p)}"
            for p in range(PIXELS)
            for v in range(VECTORS)
        ]

    def block(self, channels: int, step: str = "", weights_step: str = "#64") -> Iterator[str]:
        """Some input channels; the weights of a group come while those before are in use.

        Args:
            channels: how many, a multiple of 16 or STEM.
            step: the last one of the inputs, if not to the channels behind.
            weights_step: the last one of the weights.
        """
        groups = channels // 4
        yield self.load_weights(0)
        for group in range(groups):
            if group % 8 == 0:
                some = min(32, channels - 4 * group)
                is_last = 4 * group + some == channels
                yield from self.load_inputs(some, step if is_last else "")
            first, *others = self.products(group % 8)
            yield first
            if group + 1 < groups:
                yield self.load_weights(group + 1, weights_step if group + 2 == groups else "#64")
            yield from others

    def any_products(self) -> Iterator[str]:
        yield "mov %[at], %[taps]"
        yield "cbz %[odd], 6f"
        yield "ands %[count], %[odd], #3"
        yield "b.eq 31f"
        yield "3:"
        for p in self.pointers:
            if self.reads_quads:
                yield "ldr q0, [%[in0]], #16"
            else:
                yield f"ldr s{self.first_input(p)}, [%[in{p}]], #4"
        yield self.load_weights(0)
        yield from self.products(0)
        yield "subs %[count], %[count], #1"
        yield "b.ne 3b"
        yield "31:"
        yield f"tbnz %[odd], #{NO_BLOCK}, 33f"
        yield f"tbz %[odd], #{SIXTEEN}, 4f"
        yield from self.block(16, "%[step16]")
        yield "4:"
        yield f"tbz %[odd], #{THIRTY_TWO}, 5f"
        yield from self.block(32, "%[step32]")
        yield "5:"
        yield f"tbnz %[odd], #{NO_LOOP}, 8f"
        yield f"tbnz %[odd], #{ONE_BLOCK}, 7f"
        yield "6:"
        yield from self.block(64)
        yield "cmp %[at], %[last]"
        yield "b.ne 6b"
        yield "7:"
        yield from self.block(64, "%[next]")
        yield "8:"
        yield "cbnz %[more], 81f"

    def scaled(self, pixel: int, to: int) -> Iterator[str]:
        """The sums of a pixel, in four registers, as floats that hold the rounded numbers."""
        yield f"ld1 {four('4s', to)}, [%[offsets]]"
        for v in range(VECTORS):
            total = SUMS + VECTORS * pixel + v
            yield f"fmla v{to + v}.4s, v{total}.4s, v{self.multipliers + v}.4s"

    def load_multipliers(self) -> str:
        return f"ld1 {four('4s', self.multipliers)}, [%[factors]]"

    def store_int8(self, *, residual: bool = False, zero: bool = False) -> Iterator[str]:
        """Of all pixels.

        Args:
            residual: whether there is one, times a ratio that is in v13.
            zero: whether it has a zero point, which is in v12.
        """
        spare = self.spare[:2] if residual else self.spare
        for p in range(PIXELS):
            r = spare[p % len(spare)]
            yield from self.scaled(p, r)
            yield f"uzp1 v{r}.8h, v{r}.8h, v{r + 1}.8h"
            yield f"uzp1 v{r + 1}.8h, v{r + 2}.8h, v{r + 3}.8h"
            if residual:
                low, high = r + 2, r + 3
                yield f"ld1 {{v{low}.16b}}, [%[residual]], %[residual_stride]"
                if zero:
                    yield f"ssubl2 v{high}.8h, v{low}.16b, v12.16b"
                    yield f"ssubl v{low}.8h, v{low}.8b, v12.8b"
                    for x in low, high:
                        yield f"shl v{x}.8h, v{x}.8h, #3"
                else:
                    yield f"sshll2 v{high}.8h, v{low}.16b, #3"
                    yield f"sshll v{low}.8h, v{low}.8b, #3"
                yield f"sqrdmlah v{r}.8h, v{low}.8h, v13.h[0]"
                yield f"sqrdmlah v{r + 1}.8h, v{high}.8h, v13.h[0]"
            yield f"sqxtn v{r}.8b, v{r}.8h"
            yield f"sqxtn2 v{r}.16b, v{r + 1}.8h"
            yield f"st1 {{v{r}.16b}}, [%[output]], %[output_stride]"

    def store_quads(self) -> Iterator[str]:
        """Numbers of four pixels side by side: their lower halves are transposed in pairs."""
        to = (
            *self.spare,
            SUMS,
        )  # the sums of the first pixel are done with when the last one's turn is
        for p in range(PIXELS):
            yield from self.scaled(p, to[p])
        pair = SUMS + VECTORS  # where sums are done with
        for v in range(VECTORS):
            p0, p1, p2, p3 = (first + v for first in to)
            for i, (even, odd) in enumerate(((p0, p1), (p2, p3))):
                yield f"trn1 v{even}.8h, v{even}.8h, v{odd}.8h"
                yield f"sqxtn v{pair + i}.8b, v{even}.8h"
            step = "%[output_back]" if v + 1 == VECTORS else "%[output_stride]"
            yield f"st2 {register_list('4h', pair, 2)}, [%[output]], {step}"

    def store_float(self, *, rounded: bool) -> Iterator[str]:
        """Rounded numbers, clamped and less their zero point, or what sums stand for."""
        yield f"ldr %[count], {field('constants')}"
        yield f"ld4r {four('4s', 12)}, [%[count]]"
        for p in range(PIXELS):
            if rounded:
                yield from self.scaled(p, 0)
                for operation, operand in (("fsub", 13), ("fmax", 14), ("fmin", 15)):
                    for v in range(VECTORS):
                        yield f"{operation} v{v}.4s, v{v}.4s, v{operand}.4s"
            else:
                for v in range(VECTORS):
                    yield f"fsub v{v}.4s, v{SUMS + VECTORS * p + v}.4s, v12.4s"
                for v in range(VECTORS):
                    yield f"fmul v{v}.4s, v{v}.4s, v{self.multipliers + v}.4s"
            yield f"st1 {four('4s', 0)}, [%[output]], %[output_stride]"

    def more_outputs(self) -> Iterator[str]:
        """What is not int8 without a residual, and what follows a part of four channels."""
        yield "81:"
        if not self.reads_quads:
            yield f"tbz %[more], #{PART_GROUP}, 82f"
            yield "ldr q0, [%[last_input]], #16"
            yield self.load_weights(0)
            yield from (
                f"sdot v{SUMS + VECTORS * p + v}.4s, v{WEIGHTS + v}.16b, v0.4b[{p}]"
                for p in range(PIXELS)
                for v in range(VECTORS)
            )
            yield "82:"
        yield f"tst %[more], #{(2 << FLOAT) - 2}"
        yield "b.eq 80b"
        yield self.load_multipliers()
        yield f"tbnz %[more], #{FLOAT}, 86f"
        yield f"tbnz %[more], #{INT8_FLOAT}, 85f"
        yield f"tbnz %[more], #{QUADS}, 84f"
        yield f"ldr %[count], {field('constants')}"
        yield "ld2r {v12.4s, v13.4s}, [%[count]]"
        yield f"tbnz %[more], #{RESIDUAL_ZERO}, 83f"
        yield from self.store_int8(residual=True)
        yield "b 9b"
        yield "83:"
        yield from self.store_int8(residual=True, zero=True)
        yield "b 9b"
        yield "84:"
        yield from self.store_quads()
        yield "b 9b"
        yield "85:"
        yield from self.store_float(rounded=True)
        yield "b 9b"
        yield "86:"
        yield from self.store_float(rounded=False)
        yield "b 9b"

    def no_block(self) -> Iterator[str]:
        """To the next tile, where there were less than 16 input channels."""
        yield "33:"
        for p in self.pointers:
            yield f"add %[in{p}], %[in{p}], %[next]"
        yield "b 8b"

    def loops(self) -> Iterator[str]:
        names = ["weights", "output", "output_stride", "output_back", "next", "back"]
        if self.any:
            names += ["residual", "residual_stride", "odd", "step16", "step32", "more"]
            names += ["last_input"]
        for name in names:
            yield f"ldr %[{name}], {field(name)}"
        yield "1:"  # a panel
        yield f"ldr %[in0], {field('input')}"
        for p in self.pointers[1:]:
            yield f"ldr %[in{p}], {field(f'pixel{p}')}"
        yield "add %[factors], %[weights], #64"
        yield "add %[offsets], %[weights], #128"
        yield "add %[taps], %[weights], #256"
        if self.any:
            yield f"ldr %[last], {field('last')}"
            yield "add %[last], %[taps], %[last]"
        else:
            yield "mov %[at], %[taps]"
        if self.resident:
            yield self.load_multipliers()
        yield f"ldr %[tile], {field('tiles')}"
        yield "2:"  # a tile
        for first in range(SUMS, SUMS + PIXELS * VECTORS, 4):
            yield f"ld1 {four('4s', first)}, [%[weights]]"
        if self.any:
            yield from self.any_products()
            yield "80:"
        else:
            yield from self.block(self.depth, "%[next]", "%[back]")
        if not self.resident:
            yield self.load_multipliers()
        yield from self.store_quads() if self.writes_quads else self.store_int8()
        yield from to_next(field, self.any)
        if self.any:
            yield "b 99f"
            yield from self.no_block()
            yield from self.more_outputs()
            yield "99:"


def main() -> None:
    print("// Written by neon_dot_tiles.py, which explains it.")
    for depth in (*STRAIGHT, None):
        for quads in (False, True):
            print(f"SEAFORMER_TILES({depth or 0}, {str(quads).lower()},")
            lines = Tiles(depth, quads=quads).loops()
            print("\n".join(f'"{line}\\n"' for line in lines) + ")")


if __name__ == "__main__":
    main()
