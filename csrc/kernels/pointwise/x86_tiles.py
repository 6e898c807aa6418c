"""Writes x86_tiles.inc, the pointwise kernel's inner loops in AVX2 and AVX-512 assembly.

    python csrc/kernels/pointwise/x86_tiles.py > csrc/kernels/pointwise/x86_tiles.inc

Why by hand: gcc 12 makes moves and reloads of these loops that cost up to a third, and other ones
after every change around them.

A tile's sums stay in registers, which the compiler chooses. For each input channel the weights of
its vectors are loaded, then multiplied with every pixel's scalar. That is spread over a register
first for AVX2, and for two whole vectors: one load for two multiply-adds is what cores that do two
a cycle need, and Zen 4 gains by it in tiles of up to 3 pixels. Else AVX-512 takes it straight from
memory. Where at most half of the last AVX-512 vector is needed it is a ymm register, of which two
take the time of one zmm.

Of Zen 4's multiply-add peak, AVX-512 gets 94 to 99% with pixels x inputs x outputs of 65536x16x16,
49x160x960 or 196x576x96, and 98% with 7x960x160 (AVX2 86%), where tiles of 8 (6), 4 and 1 pixels
got 68% (73%).

Operands: sum<pixel><vector>; input0 and input4, of the first and the fifth pixel; their stride in
bytes, and three times that; weights; the bytes of a panel; groups, the number of times four input
channels.
"""

from __future__ import annotations

from collections.abc import Iterator

CHANNEL = r"\\k"  # of four, which the assembler counts


class Tile:
    """Lines of assembly for `pixels` pixels, with a register name's modifier for each vector."""

    def __init__(self, isa: str, pixels: int, modifiers: str):
        self.isa, self.pixels, self.modifiers = isa, pixels, modifiers
        self.spread = "%%ymm14" if isa == "AVX2" else "%%zmm29" if modifiers == "gg" else None

    def sum_of(self, pixel: int, vector: int) -> str:
        return f"%{self.modifiers[vector]}[sum{pixel}{vector}]"

    def weights(self, vector: int) -> str:
        if self.isa == "AVX2":
            return f"%%ymm{12 + vector}"
        return f"%%{'ymm' if self.modifiers[vector] == 't' else 'zmm'}{30 + vector}"

    def from_weights(self, offset: str, vector: int) -> str:
        """A vector's place, `offset` bytes behind where the weights now begin."""
        if self.isa == "AVX2":  # two vectors a panel
            return f"{offset}+{32 * vector}(%[weights])"
        return f"{offset}(%[weights]{', %[panel]' if vector else ''})"

    def from_input(self, pixel: int) -> str:
        steps = ["", ", %[stride]", ", %[stride], 2", ", %[stride3]"]
        return f"(%[input{pixel // 4 * 4}]{steps[pixel % 4]})"

    def biases(self) -> Iterator[str]:
        for v in range(len(self.modifiers)):
            yield f"vmovups {self.from_weights('0', v)}, {self.sum_of(0, v)}"
            for p in range(1, self.pixels):
                yield f"vmovaps {self.sum_of(0, v)}, {self.sum_of(p, v)}"

    def input_channel(self) -> Iterator[str]:
        vectors = range(len(self.modifiers))
        for v in vectors:
            yield f"vmovups {self.from_weights(f'64*{CHANNEL}', v)}, {self.weights(v)}"
        for p in range(self.pixels):
            scalar = f"4*{CHANNEL}{self.from_input(p)}"
            if self.spread:
                yield f"vbroadcastss {scalar}, {self.spread}"
            for v in vectors:
                x = self.spread or f"{scalar}%{{1to{8 if self.modifiers[v] == 't' else 16}%}}"
                yield f"vfmadd231ps {x}, {self.weights(v)}, {self.sum_of(p, v)}"

    def lines(self) -> Iterator[str]:
        yield from self.biases()
        yield "add $64, %[weights]"
        yield "test %[groups], %[groups]"
        yield "jz 2f"
        yield "1:"
        yield ".irp k, 0, 1, 2, 3"
        yield from self.input_channel()
        yield ".endr"
        for pixel in range(0, self.pixels, 4):
            yield f"add $16, %[input{pixel}]"
        yield "add $256, %[weights]"
        yield "dec %[groups]"
        yield "jnz 1b"
        yield "2:"


TILES = [  # ISA, most pixels, and what is after their number in the name: the modifiers
    ("AVX2", 6, {"X1": "t", "X2": "tt"}),
    ("AVX512", 8, {"X1": "g", "X2": "gg", "XHALF": "t", "X1_AND_HALF": "gt"}),
]


def main() -> None:
    print("// Written by x86_tiles.py, which explains it.")
    for isa, most, widths in TILES:
        for width, modifiers in widths.items():
            for pixels in range(1, most + 1):
                print(f"#define SEAFORMER_TILE_{isa}_{pixels}{width} \\")
                lines = Tile(isa, pixels, modifiers).lines()
                print(" \\\n".join(f'  "{line}\\n"' for line in lines))


if __name__ == "__main__":
    main()
