"""Writes x86_tiles.inc, the depthwise kernel's sums over all taps in AVX2 and AVX-512 assembly.

    python csrc/kernels/depthwise/x86_tiles.py > csrc/kernels/depthwise/x86_tiles.inc

Why by hand: as for the pointwise kernel, gcc 12 moves, reloads and spills.

A tile is some output pixels of one vector of channels; their sums stay in registers, which the
compiler chooses. Row by row the weights of the taps are loaded, then every input pixel once, for
all the outputs it reaches; the last four registers hold what is being multiplied.

Operands: sum<pixel>; row<i>, which end up behind the row's last pixel but for a few; weights; step
and step3, one and three times the bytes between the pixels of a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

PANEL = 64  # bytes between the weights of one tap and the next


def addresses(row: int, count: int) -> Iterator[tuple[list[str], str]]:
    """For each of `count` pixels of a row, what to do before, and its address."""
    for at in range(count):
        before = [f"lea (%[row{row}], %[step], 4), %[row{row}]"] if at and at % 4 == 0 else []
        steps = ["", ", %[step]", ", %[step], 2", ", %[step3]"][at % 4]
        yield before, f"(%[row{row}]{steps})"


def tile(width: str, last: int, size: int, stride: int, pixels: int) -> Iterator[str]:
    """Lines for registers ymm or zmm as `width` says, numbered up to `last`."""
    *weights, x = (f"%%{width}mm{last - size + n}" for n in range(size + 1))
    modifier = {"y": "t", "z": "g"}[width]
    yield f"vmovups (%[weights]), %{modifier}[sum0]"
    for p in range(1, pixels):
        yield f"vmovaps %{modifier}[sum0], %{modifier}[sum{p}]"
    for i in range(size):
        for j in range(size):
            yield f"vmovups {PANEL * (1 + i * size + j)}(%[weights]), {weights[j]}"
        for at, (before, address) in enumerate(addresses(i, (pixels - 1) * stride + size)):
            yield from before
            taps = [(p, at - p * stride) for p in range(pixels) if 0 <= at - p * stride < size]
            if len(taps) > 1:
                yield f"vmovups {address}, {x}"
            for p, j in taps:
                value = x if len(taps) > 1 else address
                yield f"vfmadd231ps {value}, {weights[j]}, %{modifier}[sum{p}]"


TILES = [  # name, width of registers, the last of them, sizes in pixels
    ("AVX2", "y", 15, (8,)),
    ("AVX512", "z", 31, (8, 16)),
    ("AVX512_HALF", "y", 31, (8,)),
]


def main() -> None:
    print("// Written by x86_tiles.py, which explains it.")
    for name, width, last, sizes in TILES:
        for size, stride, pixels in product((3, 5), (1, 2), sizes):
            print(f"#define SEAFORMER_TILE_{name}_{size}_{stride}_{pixels} \\")
            lines = tile(width, last, size, stride, pixels)
            print(" \\\n".join(f'  "{line}\\n"' for line in lines))


if __name__ == "__main__":
    main()
