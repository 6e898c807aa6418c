"""Counts the instructions of a kernel or block on ARM, layer by layer, for each ideal FMA.

    cmake --preset aarch64 && cmake --build --preset aarch64
    python benchmarks/arm/count_layers.py KERNEL [--match TEXT] [--isa neon] [--element f32]

KERNEL is one whose program is built: bench_KERNEL takes an instruction set and `list` or the number
of a layer (benchmarks/cpp/layer_program.h). An ideal FMA does four multiply-adds, `--lanes 8` for
types of 16 bits that are calculated with, and `--lanes 16` for int8 by dot products. Exits with 2
when nothing could be counted. Needs what count.py needs.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

import count

BUILD = Path(__file__).resolve().parents[2] / "build" / "aarch64"


def layers(program: Path, isa: str, cpu: str) -> list[tuple[str, float]]:
    """The layers that the program knows, and their multiply-adds."""
    listed = subprocess.run(
        [*count.emulator(cpu), program, isa, "list"], capture_output=True, text=True, check=True
    )
    rows = (line.split() for line in listed.stdout.splitlines())
    return [(name, float(macs)) for name, macs in rows]


def summary(counted: list[tuple[float, str]], match: str) -> list[str]:
    """A line for each way that layers run, which their names give behind a slash.

    Args:
        counted: instructions an ideal FMA, and name.
        match: what chose the layers.
    """
    if not counted:
        raise count.CountError(f"expected a layer with {match!r} in its name, got none")
    ways: dict[str, list[tuple[float, str]]] = {}
    for ratio, layer in counted:
        ways.setdefault(layer.partition("/")[2], []).append((ratio, layer))
    lines = []
    for way, rows in ways.items():
        median = statistics.median(ratio for ratio, _ in rows)
        most, layer = max(rows)
        title = f"{len(rows)} layers{f' {way}' if way else ''}"
        lines.append(f"{title}: median {median:.3f}, at most {most:.3f} ({layer})")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kernel", help="pointwise, depthwise, stem, inverted_residual, ...")
    parser.add_argument("--match", default="", help="only layers with this in their name")
    parser.add_argument("--isa", default="neon", help="or `best`, what the library chooses itself")
    parser.add_argument(
        "--element", choices=("f32", "f16", "bf16", "i8"), help="of kernels that have several"
    )
    parser.add_argument("--lanes", type=int, default=4, help="multiply-adds of an ideal FMA")
    parser.add_argument("--cpu", default="cortex-a76", help="a name of `qemu-aarch64 -cpu help`")
    options = parser.parse_args()
    program = BUILD / f"bench_{options.kernel}"
    try:
        if not program.is_file():
            raise count.CountError(f"{program}: no such program; --help tells how to build it")
        print(f"{'layer':>60}    instructions an ideal FMA")
        counted = []
        element = ["--element", options.element] if options.element else []
        for index, (layer, macs) in enumerate(layers(program, options.isa, options.cpu)):
            if options.match in layer:
                (window,) = count.count(program, [options.isa, str(index), *element], options.cpu)
                counted.append((window["total"] / (macs / options.lanes), layer))
                print(f"{layer:>60}    {counted[-1][0]:.3f}", flush=True)
        for line in summary(counted, options.match):
            print(line)
    except (count.CountError, OSError, subprocess.CalledProcessError) as error:
        print(f"count_layers.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
