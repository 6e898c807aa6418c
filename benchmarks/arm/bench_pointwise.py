"""Counts the instructions of the pointwise kernel on ARM, layer by layer, for each ideal FMA.

    cmake --preset aarch64 && cmake --build --preset aarch64
    python benchmarks/arm/bench_pointwise.py [PROGRAM]

An ideal FMA does four multiply-adds. Exits with 2 when nothing could be counted. Needs what
count.py needs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import count

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / "aarch64" / "bench_pointwise"


def layers(program: Path) -> list[str]:
    """The layers that the program knows, as PIXELSxINxOUT."""
    emulator = ["qemu-aarch64", "-cpu", "cortex-a76", "-L", count.ARM_LIBRARIES]
    listed = subprocess.run(
        [*emulator, program, "neon", "list"], capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", nargs="?", type=Path, default=PROGRAM)
    program = parser.parse_args().program
    try:
        if not program.is_file():
            raise count.CountError(f"{program}: no such program; --help tells how to build it")
        print("pixels x in x out    instructions an ideal FMA")
        for index, layer in enumerate(layers(program)):
            (window,) = count.count(program, ["neon", str(index)])
            pixels, channels_in, channels_out = map(int, layer.split("x"))
            ideal = pixels * channels_in * channels_out / 4
            print(f"{layer:>17}    {window['total'] / ideal:.3f}")
    except (count.CountError, OSError, subprocess.CalledProcessError) as error:
        print(f"bench_pointwise.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
