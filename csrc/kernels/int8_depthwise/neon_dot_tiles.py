"""Writes the int8 depthwise kernel's inner loops of dot products (SDOT) in AArch64 assembly.

    cd csrc/kernels/int8_depthwise && python neon_dot_tiles.py > neon_dot_tiles.inc

Why so: int8 has no other way that beats float32 here. smull, smlal and saddw take 0.41 instructions
for a multiply-add of a 3x3 kernel, dot products of three interleaved rows 0.33, and this 0.22, of
5x5 0.15.

A register holds four pixels of four channels, the pixels of a channel side by side, and a dot
product adds all of a row that they contribute to an output: its weights lie as far from the first
byte as the output's first tap does from the first pixel. An output takes one or two of those, of
which weights are prepared for every such shift. Nothing is moved between registers, and four
outputs come out as four vectors of four channels.

A tile is some quads of output and four channels. Weights of 3x3 kernels stay in registers for a
whole row, those of 5x5 ones come for every tile.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from neon_elements import register_list

MULTIPLIER = {3: 31, 5: 14}  # its register, by the size of the kernel
# Of DotTiles in neon_dot.cpp, in its order.
FIELDS = ("weights", "output", "output_back", "row_back", "tiles", "more", "channels")


def field(name: str) -> str:
    return f"[%[call], #{8 * FIELDS.index(name)}]"


class Tile:
    """`quads` quads of output and four channels, of a size x size convolution."""

    def __init__(self, size: int, stride: int, quads: int) -> None:
        self.size, self.stride, self.quads = size, stride, quads
        self.resident = size == 3
        shifts = range(-(size // 2) - 3, size // 2 + 1)
        self.shifts = [s for s in shifts if s % stride == 0]
        count = len(self.shifts) * (size if self.resident else 1)
        self.outputs = range(4 * quads)
        # Registers: weights from v0 on, then inputs; sums are the last, or the last but one.
        end = MULTIPLIER[size] if self.resident else 32
        self.first_sum = end - len(self.outputs)
        self.first_input = count
        middle_last = (len(self.outputs) - 1) * stride
        self.inputs = (middle_last + size // 2) // 4 + 2  # quads of a row, with the one before
        assert self.first_input + self.inputs <= self.first_sum

    def weight(self, row: int, shift: int) -> int:
        return self.shifts.index(shift) + (row * len(self.shifts) if self.resident else 0)

    def load_weights(self, first: int, count: int, at: str, last_step: str = "") -> Iterator[str]:
        for r in range(first, first + count, 4):
            some = min(4, first + count - r)
            step = last_step if last_step and r + some == first + count else f"#{16 * some}"
            yield f"ld1 {register_list('16b', r, some)}, [{at}], {step}"

    def load_inputs(self, row: int) -> Iterator[str]:
        """Of a tile; the row goes on to the next one."""
        left = 16 * self.quads * self.stride
        for first in range(0, self.inputs, 4):
            some = min(4, self.inputs - first)
            is_last = first + some == self.inputs
            step = left if is_last else 16 * some
            left -= step
            registers = register_list("16b", self.first_input + first, some)
            by = "" if step == 0 else f", %[step{step}]" if step != 16 * some else f", #{step}"
            yield f"ld1 {registers}, [%[row{row}]]{by}"

    def products(self, row: int) -> Iterator[str]:
        for j in range(self.inputs):
            for x in self.outputs:
                shift = 4 * (j - 1) - x * self.stride
                if shift in self.shifts:
                    yield (
                        f"sdot v{self.first_sum + x}.4s, v{self.first_input + j}.16b, "
                        f"v{self.weight(row, shift)}.16b"
                    )

    def code(self) -> Iterator[str]:
        for x in self.outputs[::4]:
            yield f"ld1 {register_list('4s', self.first_sum + x, 4)}, [%[biases]]"
        for row in range(self.size):
            if not self.resident:
                last = "%[weights_back]" if row + 1 == self.size else ""
                yield from self.load_weights(0, len(self.shifts), "%[at]", last)
            yield from self.load_inputs(row)
            yield from self.products(row)
        # Inputs are done with, and then the sums of each quad when they have been scaled.
        to = self.first_input
        for x in self.outputs[::4]:
            yield f"ld1 {register_list('4s', to, 4)}, [%[offsets]]"
            for i in range(4):
                total = self.first_sum + x + i
                yield f"fmla v{to + i}.4s, v{total}.4s, v{MULTIPLIER[self.size]}.4s"
            for i in 0, 1:
                yield f"uzp1 v{to + i}.8h, v{to + 2 * i}.8h, v{to + 2 * i + 1}.8h"
            yield f"sqxtn v{to}.8b, v{to}.8h"
            yield f"sqxtn2 v{to}.16b, v{to + 1}.8h"
            yield f"st1 {{v{to}.16b}}, [%[output]], %[output_stride]"
            to = self.first_sum + x


def loops(size: int, stride: int) -> Iterator[str]:
    """Rows of quads: four a turn, then two and one."""
    whole = Tile(size, stride, 2 if size == 3 else 4)
    yield f"ldr %[biases], {field('weights')}"
    yield f"ldr %[output], {field('output')}"
    yield f"ldr %[channels], {field('channels')}"
    yield f"ldr %[more], {field('more')}"
    yield "1:"  # four channels
    yield "add %[offsets], %[biases], #64"
    yield f"ldr q{MULTIPLIER[size]}, [%[biases], #128]"
    yield "add %[at], %[biases], #144"
    if whole.resident:
        yield from whole.load_weights(0, size * len(whole.shifts), "%[at]")
    yield f"ldr %[count], {field('tiles')}"
    yield "cbz %[count], 3f"
    yield "2:"
    for _ in range(4 // whole.quads):
        yield from whole.code()
    yield "subs %[count], %[count], #1"
    yield "b.ne 2b"
    yield "3:"
    for bit, label in (1, 4), (0, 5):
        yield f"tbz %[more], #{bit}, {label}f"
        yield from Tile(size, stride, 2**bit).code()
        yield f"{label}:"
    yield f"ldr %[count], {field('row_back')}"
    for row in range(size):
        yield f"add %[row{row}], %[row{row}], %[count]"
    yield f"ldr %[count], {field('output_back')}"
    yield "add %[output], %[output], %[count]"
    yield f"add %[biases], %[biases], #{144 + 16 * size * len(whole.shifts)}"
    yield "subs %[channels], %[channels], #1"
    yield "b.ne 1b"


def main() -> None:
    print("// Written by neon_dot_tiles.py, which explains it.")
    for size in (3, 5):
        for stride in (1, 2):
            print(f"SEAFORMER_TILES({size}, {stride},")
            print("\n".join(f'"{line}\\n"' for line in loops(size, stride)) + ")")


if __name__ == "__main__":
    main()
