"""Writes the int8 pointwise kernel's inner loops of ARMv8.0 in AArch64 assembly.

    cd csrc/kernels/int8_pointwise && python neon_tiles.py > neon_tiles.inc

Why by hand: from intrinsics gcc 12 makes 2.0 instructions for four multiply-adds at 16 input
channels, and 1.2 at 64, where float32 takes 1.2 and 1.1. This takes 1.3 and 0.95.

Products of eight input channels are summed in pairs in int16, which two of them fit, as weights are
no -128 (smull, smlal); then by pairs in int32 (sadalp): three instructions for sixteen
multiply-adds. A tile is 2 pixels by a panel of 16 output channels. Its sums, in v16 to v31, have
two lanes for an output channel, which are added at the end. Weights of eight input channels come
into v0 to v7; the inputs of a pixel, four of them in every lane, into v8 and v9 or v10 and v11;
products into v12 to v15.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from neon_dot_tiles import FLOAT, INT8_FLOAT, RESIDUAL
from neon_elements import register_list

PIXELS, VECTORS = 2, 4  # of a tile
INPUTS, PRODUCTS, SUMS = 8, 12, 16  # first registers
# Of PairTiles in neon.cpp, in its order.
FIELDS = (
    *("input", "pixel1", "next", "weights", "blocks", "output", "output_stride"),
    *("residual", "residual_stride", "tiles", "odd", "last_input", "more", "constants"),
)
# Bits of `odd`.
PART, FOUR, EIGHT, NO_BLOCK = range(4)


def field(name: str) -> str:
    return f"[%[call], #{8 * FIELDS.index(name)}]"


def four(arrangement: str, first: int) -> str:
    return register_list(arrangement, first, 4)


def products(operation: str, vector: int, pixel: int, weights: int, x: int) -> Iterator[str]:
    """Of two weight vectors from `vector` on and a pixel, into all four registers for them."""
    for i in range(4):
        w = weights + vector + i // 2
        second, arrangement = ("2", "16b") if i % 2 else ("", "8b")
        yield (
            f"{operation}{second} v{PRODUCTS + i}.8h, v{w}.{arrangement}, "
            f"v{INPUTS + 2 * pixel + x}.{arrangement}"
        )


def sums(channels: int, *, first: bool = False) -> Iterator[str]:
    """Adds the products of four or eight input channels; the first ones are where sums begin."""
    for pixel in range(PIXELS):
        for vector in range(0, VECTORS, 2):
            yield from products("smull", vector, pixel, 0, 0)
            if channels == 8:
                yield from products("smlal", vector, pixel, VECTORS, 1)
            for i in range(4):
                total = SUMS + 2 * VECTORS * pixel + 2 * vector + i
                yield f"{'saddlp' if first else 'sadalp'} v{total}.4s, v{PRODUCTS + i}.8h"


def load_weights(first: int) -> str:
    return f"ld1 {four('16b', first)}, [%[at]], #64"


def eight(*, first: bool = False) -> Iterator[str]:
    for p in range(PIXELS):
        yield f"ld2r {register_list('4s', INPUTS + 2 * p, 2)}, [%[in{p}]], #8"
    yield load_weights(0)
    yield load_weights(VECTORS)
    yield from sums(8, first=first)


def one_group(sources: list[str]) -> Iterator[str]:
    """Four input channels."""
    for p, source in enumerate(sources):
        yield f"ld1r {{v{INPUTS + 2 * p}.4s}}, [%[{source}]], #4"
    yield load_weights(0)
    yield from sums(4)


def scaled(*, rounded: bool) -> Iterator[str]:
    """The sums of a pixel in four registers, from v8 and v12 on: scaled, and rounded if asked for.

    Those are the bits of floats (core/quantized.h). Multipliers are in v4 to v7.
    """
    for p in range(PIXELS):
        for v in range(VECTORS):
            total = SUMS + 2 * VECTORS * p + 2 * v
            yield f"addp v{total}.4s, v{total}.4s, v{total + 1}.4s"
    yield f"ld1 {four('4s', 0)}, [%[biases]]"
    yield f"ld1 {four('4s', VECTORS)}, [%[factors]]"
    if rounded:
        for p in range(PIXELS):
            yield f"ld1 {four('4s', INPUTS + VECTORS * p)}, [%[offsets]]"
    else:
        yield f"ldr %[count], {field('constants')}"
        yield "ld1r {v17.4s}, [%[count]]"
    steps: list[list[str]] = [[], [], []]
    for p in range(PIXELS):
        for v in range(VECTORS):
            total, to = SUMS + 2 * VECTORS * p + 2 * v, INPUTS + VECTORS * p + v
            steps[0].append(f"add v{total}.4s, v{total}.4s, v{v}.4s")
            if rounded:
                steps[1].append(f"fmla v{to}.4s, v{total}.4s, v{VECTORS + v}.4s")
            else:
                steps[1].append(f"fsub v{to}.4s, v{total}.4s, v17.4s")
                steps[2].append(f"fmul v{to}.4s, v{to}.4s, v{VECTORS + v}.4s")
    for step in steps:
        yield from step


def store_floats() -> Iterator[str]:
    for p in range(PIXELS):
        yield f"st1 {four('4s', INPUTS + VECTORS * p)}, [%[output]], %[output_stride]"


def store_rounded() -> Iterator[str]:
    """Less their zero point, and clamped."""
    yield from scaled(rounded=True)
    yield f"ldr %[count], {field('constants')}"
    yield f"ld4r {four('4s', SUMS)}, [%[count]]"
    for i, operation in enumerate(("fsub", "fmax", "fmin")):
        for r in range(INPUTS, INPUTS + PIXELS * VECTORS):
            yield f"{operation} v{r}.4s, v{r}.4s, v{SUMS + 1 + i}.4s"
    yield from store_floats()


def store_int8(*, residual: bool) -> Iterator[str]:
    yield from scaled(rounded=True)
    if residual:
        yield f"ldr %[count], {field('constants')}"
        yield "ld2r {v16.4s, v17.4s}, [%[count]]"
    for p in range(PIXELS):
        r = INPUTS + VECTORS * p
        yield f"uzp1 v{r}.8h, v{r}.8h, v{r + 1}.8h"
        yield f"uzp1 v{r + 1}.8h, v{r + 2}.8h, v{r + 3}.8h"
        if residual:
            low, high = r + 2, r + 3
            yield f"ld1 {{v{low}.16b}}, [%[residual]], %[residual_stride]"
            yield f"ssubl2 v{high}.8h, v{low}.16b, v16.16b"
            yield f"ssubl v{low}.8h, v{low}.8b, v16.8b"
            for x in low, high:
                yield f"shl v{x}.8h, v{x}.8h, #3"
            for x in low, high:
                yield f"sqrdmulh v{x}.8h, v{x}.8h, v17.8h"
            yield f"sqadd v{r}.8h, v{r}.8h, v{low}.8h"
            yield f"sqadd v{r + 1}.8h, v{r + 1}.8h, v{high}.8h"
        yield f"sqxtn v{r}.8b, v{r}.8h"
        yield f"sqxtn2 v{r}.16b, v{r + 1}.8h"
        yield f"st1 {{v{r}.16b}}, [%[output]], %[output_stride]"


def odd_channels() -> Iterator[str]:
    """What is beyond a multiple of 16 input channels."""
    yield "40:"
    for r in range(SUMS, SUMS + 2 * PIXELS * VECTORS):
        yield f"movi v{r}.4s, #0"
    yield "41:"
    yield f"tbz %[odd], #{EIGHT}, 42f"
    yield from eight()
    yield "42:"
    yield f"tbz %[odd], #{FOUR}, 43f"
    yield from one_group([f"in{p}" for p in range(PIXELS)])
    yield "43:"
    yield f"tbz %[odd], #{PART}, 5b"
    yield from one_group(["last_input"] * PIXELS)
    yield "b 5b"


def loops() -> Iterator[str]:
    names = ["output", "output_stride", "residual", "residual_stride", "next"]
    for name in (*names, "blocks", "odd", "more", "last_input"):
        yield f"ldr %[{name}], {field(name)}"
    yield f"ldr %[in0], {field('input')}"
    yield f"ldr %[in1], {field('pixel1')}"
    yield f"ldr %[biases], {field('weights')}"
    yield "add %[factors], %[biases], #64"
    yield "add %[offsets], %[biases], #128"
    yield "add %[taps], %[biases], #256"
    yield f"ldr %[tile], {field('tiles')}"
    yield "2:"  # a tile
    yield "mov %[at], %[taps]"
    yield f"tbnz %[odd], #{NO_BLOCK}, 40f"
    yield from eight(first=True)
    yield from eight()
    yield "cbz %[blocks], 4f"
    yield "mov %[count], %[blocks]"
    yield "3:"
    for _ in range(2):
        yield from eight()
    yield "subs %[count], %[count], #1"
    yield "b.ne 3b"
    yield "4:"
    yield "cbnz %[odd], 41f"
    yield "5:"
    yield f"tbz %[more], #{INT8_FLOAT}, 6f"
    yield from store_rounded()
    yield "9:"
    for p in range(PIXELS):
        yield f"add %[in{p}], %[in{p}], %[next]"
    yield "subs %[tile], %[tile], #1"
    yield "b.ne 2b"
    yield "b 99f"
    yield "6:"
    yield f"tbnz %[more], #{FLOAT}, 8f"
    yield f"tbnz %[more], #{RESIDUAL}, 7f"
    yield from store_int8(residual=False)
    yield "b 9b"
    yield "7:"
    yield from store_int8(residual=True)
    yield "b 9b"
    yield "8:"
    yield from scaled(rounded=False)
    yield from store_floats()
    yield "b 9b"
    yield from odd_channels()
    yield "99:"


def main() -> None:
    print("// Written by neon_tiles.py, which explains it.")
    print("SEAFORMER_TILES(")
    print("\n".join(f'"{line}\\n"' for line in loops()) + ")")


if __name__ == "__main__":
    main()
