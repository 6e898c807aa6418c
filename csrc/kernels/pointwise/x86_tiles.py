"""Writes x86_tiles.inc, the pointwise kernel's inner loops in AVX2 and AVX-512 assembly.

    python csrc/kernels/pointwise/x86_tiles.py > csrc/kernels/pointwise/x86_tiles.inc

Why by hand: gcc 12 makes moves and reloads of these loops that cost up to a third, and other ones
after every change around them.

A tile's sums stay in registers, which the compiler chooses. For each input channel the weights of
its vectors are loaded, then multiplied with every pixel's scalar: AVX-512 takes that straight from
memory, AVX2 spreads it over a register first. Where at most half of the last AVX-512 vector is
needed it is a ymm register, of which two take the time of one zmm.

Operands: sum<pixel><vector>, input0 and a second pointer to the pixels from the middle on, their
stride in bytes and, if half the pixels are four, three times that; weights; the bytes of a panel;
groups, the number of times four input channels.
"""

from __future__ import annotations

from collections.abc import Iterator


class Tile:
    """Lines of assembly for `pixels` pixels, with a register name's modifier for each vector."""

    def __init__(self, isa: str, pixels: int, modifiers: list[str]):
        self.isa, self.pixels, self.modifiers = isa, pixels, modifiers

    def sum_of(self, pixel: int, vector: int) -> str:
        return f"%{self.modifiers[vector]}[sum{pixel}{vector}]"

    def weights(self, vector: int) -> str:
        if self.isa == "avx2":
            return f"%%ymm{12 + vector}"
        return f"%%{'ymm' if self.modifiers[vector] == 't' else 'zmm'}{30 + vector}"

    def from_weights(self, channel: int, vector: int) -> str:
        """Where the weights, or for channel -1 the biases, of a vector are."""
        offset = 64 * channel
        if self.isa == "avx2":  # two vectors a panel
            return f"{offset + 32 * vector}(%[weights])"
        return f"{offset}(%[weights]{', %[panel]' if vector else ''})"

    def from_input(self, channel: int, pixel: int) -> str:
        half = self.pixels // 2
        base = f"%[input{0 if pixel < half else half}]"
        steps = ["", ", %[stride]", ", %[stride], 2", ", %[stride3]"]
        return f"{4 * channel}({base}{steps[pixel % half]})"

    def biases(self) -> Iterator[str]:
        for v in range(len(self.modifiers)):
            yield f"vmovups {self.from_weights(0, v)}, {self.sum_of(0, v)}"
            for p in range(1, self.pixels):
                yield f"vmovaps {self.sum_of(0, v)}, {self.sum_of(p, v)}"

    def input_channel(self, channel: int) -> Iterator[str]:
        vectors = range(len(self.modifiers))
        for v in vectors:
            yield f"vmovups {self.from_weights(channel, v)}, {self.weights(v)}"
        for p in range(self.pixels):
            scalar = self.from_input(channel, p)
            if self.isa == "avx2":
                yield f"vbroadcastss {scalar}, %%ymm14"
            for v in vectors:
                spread = "8" if self.modifiers[v] == "t" else "16"
                x = "%%ymm14" if self.isa == "avx2" else f"{scalar}%{{1to{spread}%}}"
                yield f"vfmadd231ps {x}, {self.weights(v)}, {self.sum_of(p, v)}"

    def lines(self) -> Iterator[str]:
        yield from self.biases()
        yield "add $64, %[weights]"
        yield "test %[groups], %[groups]"
        yield "jz 2f"
        yield "1:"
        for channel in range(4):
            yield from self.input_channel(channel)
        yield "add $16, %[input0]"
        yield f"add $16, %[input{self.pixels // 2}]"
        yield "add $256, %[weights]"
        yield "dec %[groups]"
        yield "jnz 1b"
        yield "2:"


TILES = {
    "AVX2_6X2": Tile("avx2", 6, ["t", "t"]),
    "AVX512_8X2": Tile("avx512", 8, ["g", "g"]),
    "AVX512_8X1_AND_HALF": Tile("avx512", 8, ["g", "t"]),
    "AVX512_8X1": Tile("avx512", 8, ["g"]),
    "AVX512_8XHALF": Tile("avx512", 8, ["t"]),
}


def main() -> None:
    print("// Written by x86_tiles.py, which explains it.")
    for name, tile in TILES.items():
        print(f"#define SEAFORMER_TILE_{name} \\")
        print(" \\\n".join(f'  "{line}\\n"' for line in tile.lines()))


if __name__ == "__main__":
    main()
