"""The hot loops of an aarch64 program, and the cycles that llvm-mca gives them on several cores.

    python benchmarks/arm/loops.py build/aarch64/bench_pointwise [--match neon_fp16] [--fmas 128]

Prints of each innermost loop with that many multiply-adds the share of a core's that it reaches,
with all data in the first-level cache. Needs Debian's llvm-19 and g++-aarch64-linux-gnu.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import count

# The names of llvm-mca, and the cores that they stand for.
CORES = {
    "cortex-a55": "Cortex-A55, in order",
    "neoverse-n1": "Neoverse N1, as Cortex-A76",
    "neoverse-v2": "Neoverse V2",
}
FMAS_A_CYCLE = {"cortex-a55": 2, "neoverse-n1": 2, "neoverse-v2": 4}  # as llvm-mca has it
ITERATIONS = 100

_FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
_INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+([a-z][\w.]*)\s*(.*?)\s*(?://.*)?$")
_BRANCH = re.compile(r"^(?:b|b\.\w+|cbn?z|tbn?z)$")
_TARGET = re.compile(r"(?:0x)?([0-9a-f]+)\s*<.*>$")


@dataclass(frozen=True)
class Instruction:
    """One instruction; `target` is where a direct branch goes, else None."""

    address: int
    name: str
    operands: str
    target: int | None


@dataclass(frozen=True)
class Loop:
    """An innermost loop: straight from its head to the branch back to it."""

    function: str
    body: tuple[Instruction, ...]

    @property
    def head(self) -> int:
        """The address of its first instruction."""
        return self.body[0].address

    @property
    def calls(self) -> bool:
        """Whether it is more than what stands in it."""
        return any(i.name in ("bl", "blr") for i in self.body)

    @property
    def fmas(self) -> int:
        """Vector multiply-adds in an iteration."""
        return sum(i.name in ("fmla", "fmls") for i in self.body)


def functions(disassembly: str) -> dict[str, list[Instruction]]:
    """The instructions of every function, of what `objdump -d` prints."""
    found: dict[str, list[Instruction]] = {}
    body: list[Instruction] = []
    for line in disassembly.splitlines():
        if match := _FUNCTION.match(line):
            body = found.setdefault(match[1], [])
        elif match := _INSTRUCTION.match(line):
            address, name, operands = match.groups()
            target = _TARGET.search(operands) if _BRANCH.match(name) else None
            goes_to = int(target[1], 16) if target else None
            body.append(Instruction(int(address, 16), name, operands, goes_to))
    return found


def innermost(disassembly: str) -> list[Loop]:
    """The loops that hold no other."""
    loops = []
    for name, body in functions(disassembly).items():
        places = {i.address: place for place, i in enumerate(body)}
        spans = {
            (places[i.target], place)
            for place, i in enumerate(body)
            if i.target in places and places[i.target] <= place
        }
        for head, end in sorted(spans):
            if not any(head <= a and b <= end and (a, b) != (head, end) for a, b in spans):
                loops.append(Loop(name, tuple(body[head : end + 1])))
    return loops


def short_name(function: str) -> str:
    """A demangled function as its name, template arguments and first parameter's type."""
    plain = re.sub(r" \[clone .*", "", function.replace("(anonymous namespace)::", ""))
    plain = re.sub(r"\b(?:\w+::)+", "", plain)
    match = re.fullmatch(r"(?:[\w ]* )?([\w~]+(?:<.*>)?)\((\w*)[^()]*\)(?: const)?", plain)
    return f"{match[1]}({match[2]})" if match else plain


def disassemble(program: Path) -> str:
    """The program as text; addresses count from where its code is loaded."""
    command = ["aarch64-linux-gnu-objdump", "-d", "-C", "--no-show-raw-insn", str(program)]
    return count.run(command)


def executed(loops: Iterable[Loop], blocks: list[list[int]]) -> dict[int, tuple[int, float]]:
    """By head the instructions that a loop ran, and in how many iterations; ran ones only.

    Args:
        blocks: address, instructions and runs of each block that the counting plugin lists.
    """
    found = {}
    for loop in loops:
        end = loop.body[-1].address
        inside = [(insns, runs) for at, insns, runs in blocks if loop.head <= at <= end]
        if total := sum(insns * runs for insns, runs in inside):
            found[loop.head] = total, total / len(loop.body)
    return found


def assembly(loop: Loop) -> str:
    """The loop as llvm-mca reads it: branches inside it are taken to fall through."""
    lines = []
    for i in loop.body:
        operands = _TARGET.sub("#0", i.operands) if i.target is not None else i.operands
        lines.append(f"{i.name} {re.sub(r'<.*>$', '', operands)}")
    return "\n".join(lines) + "\n"


def cycles(loop: Loop, core: str) -> float:
    """Cycles an iteration, all its data in the first-level cache."""
    command = ["llvm-mca-19", "-mtriple=aarch64-linux-gnu", f"-mcpu={core}"]
    printed = count.run([*command, f"-iterations={ITERATIONS}"], assembly(loop))
    match = re.search(r"Total Cycles:\s+(\d+)", printed)
    if match is None:
        raise count.CountError(f"llvm-mca-19: expected a line of total cycles, got {printed!r}")
    return int(match[1]) / ITERATIONS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path, help="aarch64 program")
    parser.add_argument("--match", default="", help="only functions with this in their name")
    parser.add_argument("--fmas", type=int, default=128, help="the fewest of a loop")
    options = parser.parse_args()
    print("FMAs  instructions  share of the multiply-adds of", *CORES)
    try:
        for loop in innermost(disassemble(options.program)):
            if options.match in loop.function and loop.fmas >= options.fmas and not loop.calls:
                shares = [loop.fmas / FMAS_A_CYCLE[c] / cycles(loop, c) for c in CORES]
                numbers = "  ".join(f"{share:.3f}" for share in shares)
                name = short_name(loop.function)
                print(f"{loop.fmas:4}  {len(loop.body):12}  {numbers}  {name}", flush=True)
    except count.CountError as error:
        print(f"loops.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
