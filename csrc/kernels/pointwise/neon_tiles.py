"""Writes the pointwise kernel's inner loops in AArch64 assembly, for an element type.

    python csrc/kernels/pointwise/neon_tiles.py f32 > csrc/kernels/pointwise/neon_tiles_f32.inc
    python csrc/kernels/pointwise/neon_tiles.py f16 > csrc/kernels/pointwise/neon_tiles_f16.inc

Why by hand: from intrinsics gcc 12 makes 1.5 instructions for each multiply-add at 384 input
channels and 2.7 at 16, most of them moves, spills and addresses. This takes 282 for 256
multiply-adds, and 31 more a tile with bias and ReLU; of half precision gcc makes 2.0.

A tile is 4 pixels by a panel of 16 output channels, 8 pixels of float16, or fewer of either at the
end. Its sums stay in v16 to v31. Eight input channels at a time: the inputs of a pixel come with
one load, as scalars in lanes of v0 to v7; the weights of an input channel, or of two, with one ld1
into v8 to v15, in turn, so that loads run ahead of the products. The loop takes two such groups.
Input channels beyond a multiple of sixteen come first, one by one and then a group; the last two
groups stand behind the loop, where the last loads also lead on to the next tile.

Where there are two panels of float16, a tile is 4 pixels by both: inputs of sixteen channels come
with one load, biases, residual and output of a pixel with one each, which saves 1.5 to 3%.

Sums of float16 are kept short: after 64 input channels in the loop they go to totals in memory and
begin anew. Over 768 channels that cuts the error to a quarter, for 2% more instructions; totals of
float32 would take 8%, as fcvtl has half the rate.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from neon_elements import ELEMENTS, PANEL

WEIGHTS, SUMS, TOTALS = 8, 16, 0  # first registers
GROUP = 8  # input channels
ODD_GROUP, NO_PAIR, ONLY_PAIRS = 3, 4, 5  # bits of neon.inc's `odd`
POINTERS = 4  # to pixels; one more serves the pixels that are four behind
BIASES = 4 * 16  # bytes of four registers, which lie before the totals
RUN = 64  # input channels that are summed before a type that rounds much adds to its totals


PIXELS = {"f32": (4, 3, 2, 1), "f16": (8, 4, 3, 2, 1)}  # of tiles
TWO_PANELS = {"f16": 4}  # pixels of a tile of two panels
TOTALLED = {"f16"}  # types that round so much that runs of sums are short


class Tile:
    """`pixels` pixels by `vectors` vectors of output channels."""

    def __init__(self, element: str, pixels: int, vectors: int) -> None:
        self.element, self.has_totals = ELEMENTS[element], element in TOTALLED
        self.pixels, self.vectors = range(pixels), range(vectors)
        self.tap_bytes = PANEL * self.element.bytes
        channels = vectors * self.element.lanes
        self.tap = f"#{self.tap_bytes}" if channels >= PANEL else "%[tap]"
        # What points to the weights of each panel, and the vectors of one.
        self.panels = ("%[at]", "%[far]") if channels > PANEL else ("%[at]",)
        self.width = vectors // len(self.panels)
        # Input channels whose weights one ld1 of four registers holds, and those of one input load.
        self.at_once = 4 // self.width if channels >= PANEL else 1
        self.together = GROUP * len(self.panels)

    def registers(self, first: int, count: int | None = None) -> str:
        return self.element.registers(first, count or len(self.vectors))

    def all_sums(self) -> range:
        return range(SUMS, SUMS + len(self.pixels) * len(self.vectors))

    def sums(self, pixel: int) -> tuple[int, int]:
        """The first register and how many."""
        return SUMS + pixel * len(self.vectors), len(self.vectors)

    def weights(self, step: int, panel: int) -> int:
        """The first register; the panels of some input channels follow each other."""
        turn = step // self.at_once * len(self.panels) + panel
        slots = 8 // (self.at_once * self.width)
        return WEIGHTS + (turn % slots * self.at_once + step % self.at_once) * self.width

    def load_weights(self, step: int, panel: int, steps: int = 1) -> Iterator[str]:
        tap = f"#{steps * self.tap_bytes}" if steps > 1 else self.tap
        at = f"[{self.panels[panel]}], {tap}"
        yield self.element.load(self.weights(step, panel), steps * self.width, at)

    def products(self, step: int, panel: int, operation: str = "fmla") -> list[str]:
        """Those of an input channel: its weights with every pixel's scalar."""
        first, lanes = self.weights(step, panel), self.element.lanes
        scalar = f"{self.element.scalar}[{step % lanes}]"
        vector = self.element.vector
        return [
            f"{operation} v{self.sums(p)[0] + panel * self.width + v}.{vector}, "
            f"v{first + v}.{vector}, v{self.input(p) + step % self.together // lanes}.{scalar}"
            for p in self.pixels
            for v in range(self.width)
        ]

    def input(self, pixel: int) -> int:
        """The first register of a pixel's group of inputs."""
        return pixel * self.together // self.element.lanes

    def far_pixels(self) -> list[int]:
        return [p for p in self.pixels if p >= POINTERS]

    def near_pixels(self) -> list[int]:
        return [p for p in self.pixels if p < POINTERS]

    def each_sum(self, operation: str, operand: int) -> Iterator[str]:
        vector = self.element.vector
        for r in self.all_sums():
            yield f"{operation} v{r}.{vector}, v{r}.{vector}, v{operand}.{vector}"

    def with_array(self, operation: str, array: str) -> Iterator[str]:
        stride = f"%[{array}_stride]"
        if self.has_totals:  # and far pixels, for which there are no more registers
            stride = "%[count]"
            yield f"ldr {stride}, [%[steps], #{40 if array == 'multiplier' else 48}]"
        for p in self.pixels:
            first = 4 * (p % 2)
            yield self.element.load(first, len(self.vectors), f"[%[{array}]], {stride}")
            for v in self.vectors:
                r = SUMS + p * len(self.vectors) + v
                vector = self.element.vector
                yield f"{operation} v{r}.{vector}, v{r}.{vector}, v{first + v}.{vector}"

    def one_by_one(self) -> Iterator[str]:
        yield "ands %[count], %[odd], #7"
        yield "b.eq 31f"
        yield "3:"
        scalar, size = self.element.stored[-1], self.element.bytes
        for p in self.far_pixels():
            yield f"ldr {scalar}{self.input(p)}, [%[input{p - POINTERS}], %[far]]"
        for p in self.near_pixels():
            yield f"ldr {scalar}{self.input(p)}, [%[input{p}]], #{size}"
        for panel in range(len(self.panels)):
            yield from self.load_weights(0, panel)
        for panel in range(len(self.panels)):
            yield from self.products(0, panel)
        yield "subs %[count], %[count], #1"
        yield "b.ne 3b"
        yield "31:"

    def load_inputs(self, channels: int, *, last: bool) -> Iterator[str]:
        """Some channels of every pixel; the last ones lead on to the next tile."""
        size, count = channels * self.element.bytes, channels // self.element.lanes
        for p in self.far_pixels():
            yield f"ldr q{self.input(p)}, [%[input{p - POINTERS}], %[far]]"
        for p in self.near_pixels():
            first, at = self.input(p), f"[%[input{p}]]"
            if last:
                yield self.element.load(first, count, f"{at}, %[next_tile]")
            elif count == 2:
                yield f"ldp q{first}, q{first + 1}, {at}, #{size}"
            else:
                yield f"ldr q{first}, {at}, #{size}"

    def by_groups(self, groups: int, *, last: bool = False, anew: bool = False) -> Iterator[str]:
        """The weights of some input channels and a panel come while those before are in use.

        Args:
            groups: one or two.
            last: their inputs are the last ones of the tile.
            anew: the sums begin with them.
        """
        steps = groups * GROUP
        turns = [
            (step, panel)
            for step in range(0, steps, self.at_once)
            for panel in range(len(self.panels))
        ]
        yield from self.load_weights(*turns[0], self.at_once)
        for (first, panel), following in zip(turns, [*turns[1:], None], strict=True):
            for step in range(first, first + self.at_once):
                if step % self.together == 0 and panel == 0:
                    channels = min(self.together, steps)
                    yield from self.load_inputs(channels, last=last and step + channels == steps)
                operation = "fmul" if anew and step == 0 else "fmla"
                products = self.products(step, panel, operation)
                yield products[0]
                leads = step == first and following is not None
                if leads:
                    yield from self.load_weights(*following, self.at_once)
                yield from products[1:]

    def all_products(self) -> Iterator[str]:
        yield f"tbnz %[odd], #{ONLY_PAIRS}, 41f"
        yield "cbz %[odd], 42f"
        yield from self.one_by_one()
        yield f"tbz %[odd], #{ODD_GROUP}, 32f"
        yield from self.by_groups(1)
        yield "32:"
        yield f"tbz %[odd], #{NO_PAIR}, 4f"
        for p in self.near_pixels():
            yield f"add %[input{p}], %[input{p}], %[next_tile]"
            yield f"sub %[input{p}], %[input{p}], #{self.together * self.element.bytes}"
        yield "b 5f"
        yield "4:"
        yield "cmp %[at], %[last]"
        yield "b.eq 42f"
        yield "41:"
        if self.has_totals:
            yield from self.runs()
        else:
            yield from self.by_groups(2)
            yield "cmp %[at], %[last]"
            yield "b.ne 41b"
        yield "42:"
        yield from self.by_groups(2, last=True)
        if self.has_totals:
            yield "cbz %[totalled], 5f"
            yield from self.with_totals("ldp")
            yield from self.add_totals()
            yield "mov %[totalled], #0"
        yield "5:"

    def runs(self) -> Iterator[str]:
        """Pairs of groups up to the last one, with totals after each run."""
        yield from self.end_of_run()
        yield "43:"
        yield from self.by_groups(2)
        yield "44:"
        yield "cmp %[at], %[count]"
        yield "b.ne 43b"
        yield "cmp %[at], %[last]"
        yield "b.eq 42f"
        yield "cbz %[totalled], 45f"
        yield from self.with_totals("ldp")
        yield from self.add_totals()
        yield "45:"
        yield from self.with_totals("stp", SUMS)
        yield "mov %[totalled], #1"
        yield from self.end_of_run()
        yield from self.by_groups(2, anew=True)
        yield "b 44b"

    def end_of_run(self) -> Iterator[str]:
        yield f"add %[count], %[at], #{RUN * self.tap_bytes}"
        yield "cmp %[count], %[last]"
        yield "csel %[count], %[last], %[count], hi"

    def with_totals(self, operation: str, first: int = TOTALS) -> Iterator[str]:
        """Loads the totals or, from the sums, stores them."""
        count = len(self.all_sums())
        for r in range(0, count - 1, 2):
            yield f"{operation} q{first + r}, q{first + r + 1}, [%[totals], #{BIASES + 16 * r}]"
        if count % 2:
            single = {"ldp": "ldr", "stp": "str"}[operation]
            yield f"{single} q{first + count - 1}, [%[totals], #{BIASES + 16 * (count - 1)}]"

    def add_totals(self) -> Iterator[str]:
        vector = self.element.vector
        for r in self.all_sums():
            yield f"fadd v{r}.{vector}, v{r}.{vector}, v{r - SUMS + TOTALS}.{vector}"

    def biases(self) -> Iterator[str]:
        """Into the sums, and leads the weights on."""
        if not self.has_totals:
            count, times = len(self.vectors), len(self.pixels)
            yield "mov %[at], %[weights]"
            yield from self.element.repeat(SUMS, count, times, count, "%[at]", self.tap)
            return
        yield f"add %[at], %[weights], #{self.tap_bytes}"
        if len(self.panels) > 1:
            yield f"add %[far], %[last], #{self.far_panel() + self.tap_bytes}"
        sums = self.all_sums()
        for r in sums[::4]:
            yield self.element.load(r, min(4, sums.stop - r), "[%[totals]]")

    def far_panel(self) -> int:
        """From the last weights of a panel that a tile loads to the next panel."""
        return 2 * GROUP * self.tap_bytes

    def repeat_biases(self) -> Iterator[str]:
        """Four registers of them in memory, so that a load serves several pixels."""
        yield self.element.load(SUMS, self.width, "[%[weights]]")
        if len(self.panels) > 1:
            yield f"add %[far], %[last], #{self.far_panel()}"
            yield self.element.load(SUMS + self.width, self.width, "[%[far]]")
        for v in range(len(self.vectors), 4):
            yield f"mov v{SUMS + v}.16b, v{SUMS + v - len(self.vectors)}.16b"
        yield from self.element.store(SUMS, 4, "[%[totals]]")

    def epilogue(self) -> Iterator[str]:
        yield "cbz %[bounds], 6f"
        yield f"ld1r {self.registers(0, 1)}, [%[bounds]]"
        yield from self.each_sum("fmax", 0)
        yield "6:"
        yield "cbz %[more], 9f"
        yield "tbz %[more], #0, 7f"
        yield f"ld3r {self.registers(0, 3)}, [%[bounds]]"
        yield from self.each_sum("fmin", 1)
        yield "tbz %[more], #1, 7f"
        yield f"fmov v3.{self.element.vector}, #3.0"
        yield from self.each_sum("fadd", 3)
        yield from self.each_sum("fmul", 2)
        yield "7:"
        yield "tbz %[more], #2, 8f"
        yield from self.with_array("fmul", "multiplier")
        yield "8:"
        yield "tbz %[more], #3, 9f"
        yield from self.with_array("fadd", "residual")
        yield "9:"
        for p in self.pixels:
            yield from self.element.store(*self.sums(p), "[%[output]], %[output_stride]")

    def loops(self) -> Iterator[str]:
        yield "1:"  # a panel
        yield "ldp %[tile], %[count], [%[steps]]"
        yield "add %[last], %[weights], %[count]"
        yield "mov %[input0], %[input]"
        for p in self.near_pixels()[1:]:
            yield f"add %[input{p}], %[input{p - 1}], %[input_stride]"
        if self.far_pixels():
            yield f"lsl %[far], %[input_stride], #{POINTERS.bit_length() - 1}"
        if self.has_totals:
            yield from self.repeat_biases()
            yield "mov %[totalled], #0"
        yield "2:"  # a tile
        yield from self.biases()
        yield from self.all_products()
        yield from self.epilogue()
        yield "subs %[tile], %[tile], #1"
        yield "b.ne 2b"
        yield f"mov %[weights], {self.panels[-1]}"
        for i, array in enumerate(("output", "multiplier", "residual")):
            yield f"ldr %[count], [%[steps], #{16 + 8 * i}]"
            yield f"add %[{array}], %[{array}], %[count]"
        yield "subs %[panels], %[panels], #1"
        yield "b.ne 1b"


def main() -> None:
    (element,) = sys.argv[1:]
    print("// Written by neon_tiles.py, which explains it.")
    panel = PANEL // ELEMENTS[element].lanes
    shapes = [(pixels, vectors) for pixels in PIXELS[element] for vectors in range(panel, 0, -1)]
    if element in TWO_PANELS:
        shapes.append((TWO_PANELS[element], 2 * panel))
    for pixels, vectors in shapes:
        print(f"SEAFORMER_TILES({pixels}, {vectors},")
        lines = Tile(element, pixels, vectors).loops()
        print("\n".join(f'"{line}\\n"' for line in lines) + ")")


if __name__ == "__main__":
    main()
