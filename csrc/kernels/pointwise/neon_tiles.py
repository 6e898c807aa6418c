"""Writes neon_tiles.inc, the pointwise kernel's inner loops in AArch64 assembly.

    python csrc/kernels/pointwise/neon_tiles.py > csrc/kernels/pointwise/neon_tiles.inc

Why by hand: from intrinsics gcc 12 makes 1.5 instructions for each multiply-add at 384 input
channels and 2.7 at 16, most of them moves, spills and addresses. This takes 142 for 128
multiply-adds, and 34 more a tile with bias and ReLU.

A tile is 4 pixels by 16 output channels; its sums stay in v16 to v31. Eight input channels at a
time: the inputs of a pixel come with one ldp, as scalars in lanes; the weights of an input channel
with one ld1 of four registers, in turn v8 to v11 and v12 to v15, so that loads run ahead of the
products.
"""

from __future__ import annotations

PIXELS = range(4)
VECTORS = range(4)


def sum_of(pixel: int, vector: int) -> str:
    return f"v{16 + 4 * pixel + vector}.4s"


def four(first: int) -> str:
    """The register list that ld1 and st1 take."""
    return "{" + ", ".join(f"v{first + i}.4s" for i in range(4)) + "}"


def input_channel(step: int) -> list[str]:
    """Its weights, and their products with every pixel's scalar."""
    weights = 8 + 4 * (step % 2)
    return [f"ld1 {four(weights)}, [x9], #64"] + [
        f"fmla {sum_of(p, v)}, v{weights + v}.4s, v{2 * p + step // 4}.s[{step % 4}]"
        for p in PIXELS
        for v in VECTORS
    ]


def add_residual(pixel: int) -> list[str]:
    first = 4 * (pixel % 2)
    return [f"ld1 {four(first)}, [%[residual]], %[residual_stride]"] + [
        f"fadd {sum_of(pixel, v)}, {sum_of(pixel, v)}, v{first + v}.4s" for v in VECTORS
    ]


def tiles() -> list[str]:
    inputs = [f"%[input{p}]" for p in PIXELS]
    return [
        "1:",  # a tile
        "mov x9, %[weights]",
        *(f"ld1 {four(16 + 4 * p)}, [x9]" for p in PIXELS[:3]),  # the biases
        f"ld1 {four(28)}, [x9], #64",
        "2:",  # eight input channels
        *(f"ldp q{2 * p}, q{2 * p + 1}, [{inputs[p]}], #32" for p in PIXELS),
        *(line for step in range(8) for line in input_channel(step)),
        "cmp x9, %[weights_end]",
        "b.ne 2b",
        "cbz %[relu], 3f",
        "movi v0.4s, #0",
        *(f"fmax {sum_of(p, v)}, {sum_of(p, v)}, v0.4s" for p in PIXELS for v in VECTORS),
        "3:",
        "cbz %[residual], 4f",
        *(line for p in PIXELS for line in add_residual(p)),
        "4:",
        *(f"st1 {four(16 + 4 * p)}, [%[output]], %[output_stride]" for p in PIXELS),
        *(f"add {pointer}, {pointer}, %[next_tile]" for pointer in inputs),
        "subs %[tiles], %[tiles], #1",
        "b.ne 1b",
    ]


def main() -> None:
    print("// Written by neon_tiles.py, which explains it.")
    for line in tiles():
        print(f'"{line}\\n"')


if __name__ == "__main__":
    main()
