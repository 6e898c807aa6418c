"""Writes x86_tiles.inc, the int8 pointwise kernel's inner loops in AVX2 assembly.

    python csrc/kernels/int8_pointwise/x86_tiles.py > csrc/kernels/int8_pointwise/x86_tiles.inc

Why by hand: gcc 12 keeps part of a tile's sums in memory.

A tile's sums stay in registers, which the compiler chooses. For each pair of input channels the
weights of a panel are loaded, and each pixel's two inputs spread over a register: vpmaddwd
multiplies 16 bits and adds the products of a pair, exactly.

Operands: sum<pixel><vector>; input0 and input4, of the first and the fifth pixel; their stride in
bytes, and three times that; weights; pairs, from 1 up; start, where the sums begin, and step, the
bytes from one pixel's to the next.
"""

from __future__ import annotations

from collections.abc import Iterator

MOST_PIXELS = 6
VECTORS = range(2)  # of a panel
WEIGHTS, INPUT, PRODUCT = ("%%ymm12", "%%ymm13"), "%%ymm14", "%%ymm15"


def sum_of(pixel: int, vector: int) -> str:
    return f"%t[sum{pixel}{vector}]"


def from_input(pixel: int) -> str:
    steps = ["", ", %[stride]", ", %[stride], 2", ", %[stride3]"]
    return f"(%[input{pixel // 4 * 4}]{steps[pixel % 4]})"


def lines(pixels: int) -> Iterator[str]:
    for p in range(pixels):
        for v in VECTORS:
            yield f"vmovdqu {32 * v}(%[start]), {sum_of(p, v)}"
        if p + 1 < pixels:
            yield "add %[step], %[start]"
    yield "1:"
    for v in VECTORS:
        yield f"vmovdqa {32 * v}(%[weights]), {WEIGHTS[v]}"
    for p in range(pixels):
        yield f"vpbroadcastd {from_input(p)}, {INPUT}"
        for v in VECTORS:
            yield f"vpmaddwd {WEIGHTS[v]}, {INPUT}, {PRODUCT}"
            yield f"vpaddd {PRODUCT}, {sum_of(p, v)}, {sum_of(p, v)}"
    for pixel in range(0, pixels, 4):
        yield f"add $4, %[input{pixel}]"
    yield "add $64, %[weights]"
    yield "dec %[pairs]"
    yield "jnz 1b"


def main() -> None:
    print("// Written by x86_tiles.py, which explains it.")
    for pixels in range(1, MOST_PIXELS + 1):
        print(f"#define SEAFORMER_TILE_{pixels} \\")
        print(" \\\n".join(f'  "{line}\\n"' for line in lines(pixels)))


if __name__ == "__main__":
    main()
