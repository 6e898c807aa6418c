"""Writes neon_tiles.inc, the pointwise kernel's inner loops in AArch64 assembly.

    python csrc/kernels/pointwise/neon_tiles.py > csrc/kernels/pointwise/neon_tiles.inc

Why by hand: from intrinsics gcc 12 makes 1.5 instructions for each multiply-add at 384 input
channels and 2.7 at 16, most of them moves, spills and addresses. This takes 282 for 256
multiply-adds, and 31 more a tile with bias and ReLU.

A tile is 4 pixels by a panel of 16 output channels, or fewer of either at the end. Its sums stay in
v16 to v31. Eight input channels at a time: the inputs of a pixel come with one ldp, as scalars in
lanes of v0 to v7; the weights of an input channel with one ld1 into v8 to v15, in turn, so that
loads run ahead of the products. The loop takes two such groups. Input channels beyond a multiple of
sixteen come first, one by one and then a group; the last two groups stand behind the loop, where
the last loads also lead on to the next tile.
"""

from __future__ import annotations

from collections.abc import Iterator

WEIGHTS, SUMS = 8, 16  # first registers
GROUP = 8  # input channels
GROUP_BYTES = 4 * GROUP
ODD_GROUP, NO_PAIR, ONLY_PAIRS = 3, 4, 5  # bits of neon.cpp's `odd`


class Tile:
    """`pixels` pixels by `vectors` vectors of output channels."""

    def __init__(self, pixels: int, vectors: int) -> None:
        self.pixels, self.vectors = range(pixels), range(vectors)
        self.tap = "#64" if vectors == 4 else "%[tap]"

    def registers(self, first: int) -> str:
        """The register list that ld1 and st1 take."""
        return "{" + ", ".join(f"v{first + v}.4s" for v in self.vectors) + "}"

    def sums(self, pixel: int) -> str:
        return self.registers(SUMS + pixel * len(self.vectors))

    def weights(self, step: int) -> int:
        return WEIGHTS + step % (8 // len(self.vectors)) * len(self.vectors)

    def load_weights(self, step: int) -> str:
        return f"ld1 {self.registers(self.weights(step))}, [%[at]], {self.tap}"

    def products(self, step: int) -> list[str]:
        """Those of an input channel: its weights with every pixel's scalar."""
        first, scalar = self.weights(step), f"s[{step % 4}]"
        return [
            f"fmla v{SUMS + p * len(self.vectors) + v}.4s, v{first + v}.4s, "
            f"v{2 * p + step % GROUP // 4}.{scalar}"
            for p in self.pixels
            for v in self.vectors
        ]

    def each_sum(self, operation: str, operand: int) -> Iterator[str]:
        for r in range(SUMS, SUMS + len(self.pixels) * len(self.vectors)):
            yield f"{operation} v{r}.4s, v{r}.4s, v{operand}.4s"

    def with_array(self, operation: str, array: str) -> Iterator[str]:
        for p in self.pixels:
            first = 4 * (p % 2)
            yield f"ld1 {self.registers(first)}, [%[{array}]], %[{array}_stride]"
            for v in self.vectors:
                r = SUMS + p * len(self.vectors) + v
                yield f"{operation} v{r}.4s, v{r}.4s, v{first + v}.4s"

    def one_by_one(self) -> Iterator[str]:
        yield "ands %[count], %[odd], #7"
        yield "b.eq 31f"
        yield "3:"
        for p in self.pixels:
            yield f"ldr s{2 * p}, [%[input{p}]], #4"
        yield self.load_weights(0)
        yield from self.products(0)
        yield "subs %[count], %[count], #1"
        yield "b.ne 3b"
        yield "31:"

    def load_input(self, pixel: int, *, last: bool) -> str:
        """Eight channels of a pixel; the last ones lead on to the next tile."""
        first = 2 * pixel
        if last:
            return f"ld1 {{v{first}.4s, v{first + 1}.4s}}, [%[input{pixel}]], %[next_tile]"
        return f"ldp q{first}, q{first + 1}, [%[input{pixel}]], #{GROUP_BYTES}"

    def by_groups(self, groups: int, *, last: bool = False) -> Iterator[str]:
        steps = groups * GROUP
        yield self.load_weights(0)
        for step in range(steps):
            if step % GROUP == 0:
                for p in self.pixels:
                    yield self.load_input(p, last=last and step + GROUP == steps)
            products = self.products(step)
            yield products[0]
            if step + 1 < steps:
                yield self.load_weights(step + 1)
            yield from products[1:]

    def all_products(self) -> Iterator[str]:
        yield f"tbnz %[odd], #{ONLY_PAIRS}, 41f"
        yield "cbz %[odd], 42f"
        yield from self.one_by_one()
        yield f"tbz %[odd], #{ODD_GROUP}, 32f"
        yield from self.by_groups(1)
        yield "32:"
        yield f"tbz %[odd], #{NO_PAIR}, 4f"
        for p in self.pixels:
            yield f"add %[input{p}], %[input{p}], %[next_tile]"
            yield f"sub %[input{p}], %[input{p}], #{GROUP_BYTES}"
        yield "b 5f"
        yield "4:"
        yield "cmp %[at], %[last]"
        yield "b.eq 42f"
        yield "41:"
        yield from self.by_groups(2)
        yield "cmp %[at], %[last]"
        yield "b.ne 41b"
        yield "42:"
        yield from self.by_groups(2, last=True)
        yield "5:"

    def epilogue(self) -> Iterator[str]:
        yield "cbz %[bounds], 6f"
        yield "ld1r {v0.4s}, [%[bounds]]"
        yield from self.each_sum("fmax", 0)
        yield "6:"
        yield "cbz %[more], 9f"
        yield "tbz %[more], #0, 7f"
        yield "ld3r {v0.4s, v1.4s, v2.4s}, [%[bounds]]"
        yield from self.each_sum("fmin", 1)
        yield "tbz %[more], #1, 7f"
        yield "fmov v3.4s, #3.0"
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
            yield f"st1 {self.sums(p)}, [%[output]], %[output_stride]"

    def loops(self) -> Iterator[str]:
        yield "1:"  # a panel
        yield "ldp %[tile], %[count], [%[steps]]"
        yield "add %[last], %[weights], %[count]"
        yield "mov %[input0], %[input]"
        for p in self.pixels[1:]:
            yield f"add %[input{p}], %[input{p - 1}], %[input_stride]"
        yield "2:"  # a tile
        yield "mov %[at], %[weights]"
        for p in self.pixels[:-1]:
            yield f"ld1 {self.sums(p)}, [%[at]]"  # the biases
        yield f"ld1 {self.sums(self.pixels[-1])}, [%[at]], {self.tap}"
        yield from self.all_products()
        yield from self.epilogue()
        yield "subs %[tile], %[tile], #1"
        yield "b.ne 2b"
        yield "mov %[weights], %[at]"
        for i, array in enumerate(("output", "multiplier", "residual")):
            yield f"ldr %[count], [%[steps], #{16 + 8 * i}]"
            yield f"add %[{array}], %[{array}], %[count]"
        yield "subs %[panels], %[panels], #1"
        yield "b.ne 1b"


def main() -> None:
    print("// Written by neon_tiles.py, which explains it.")
    for pixels in (4, 3, 2, 1):
        for vectors in (4, 3, 2, 1):
            print(f"SEAFORMER_TILES({pixels}, {vectors},")
            print("\n".join(f'"{line}\\n"' for line in Tile(pixels, vectors).loops()) + ")")


if __name__ == "__main__":
    main()
