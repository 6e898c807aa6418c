"""Counts the instructions of upsample_argmax on ARM (64x64x150 to 512x512) against targets.

    cmake --preset aarch64 && cmake --build --preset aarch64
    python benchmarks/arm/bench_upsample_argmax.py [PROGRAM]

"brute" evaluates every class at every pixel (benchmarks/cpp/brute_force.h). Exits with 1 when a
target is missed, with 2 when nothing could be counted. Needs what count.py needs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import count

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / "aarch64" / "bench_upsample_argmax"

RUNS = [("smooth", "fused"), ("smooth", "brute"), ("noise", "fused"), ("noise", "brute")]
SMOOTH_TARGET = 5_000_000


def count_runs(program: Path, cpu: str, isa: str) -> dict[tuple[str, str], dict]:
    """The counts of every run."""
    if not program.is_file():
        raise count.CountError(f"{program}: no such program; --help tells how to build it")
    counts = {}
    for run in RUNS:
        windows = count.count(program, [*run, isa, "untimed"], cpu)
        if len(windows) != 1:
            raise count.CountError(f"{program}: expected one counted window, got {len(windows)}")
        counts[run] = windows[0]
    return counts


def targets(counts: dict[tuple[str, str], dict]) -> dict[tuple[str, str], int]:
    """The most instructions that a run may take; not every run has a target."""
    return {
        ("smooth", "fused"): SMOOTH_TARGET,
        # Pruning must not cost more than it saves where there is little to prune.
        ("noise", "fused"): counts["noise", "brute"]["total"],
    }


def missed(counts: dict[tuple[str, str], dict]) -> list[tuple[str, str]]:
    """The runs that took more than their targets."""
    return [run for run, most in targets(counts).items() if counts[run]["total"] > most]


def table(counts: dict[tuple[str, str], dict]) -> str:
    """The counts and targets as text, without the classes that no run has."""
    classes = [
        key
        for key in next(iter(counts.values()))
        if key not in ("window", "total") and any(c[key] for c in counts.values())
    ]
    rows = [["logits", "method", "total", *classes, "target"]]
    limits = targets(counts)
    late = missed(counts)
    for run, c in counts.items():
        target = f"{'missed' if run in late else 'met'}: {limits[run]:,}" if run in limits else ""
        rows.append([*run, *(f"{c[key]:,}" for key in ("total", *classes)), target])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.rjust, row, widths)) for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cpu", default="cortex-a76", help="a name of `qemu-aarch64 -cpu help`")
    parser.add_argument("--isa", default="neon", help="the instruction set of the fused kernel")
    parser.add_argument(
        "program", nargs="?", type=Path, default=PROGRAM, help="default: the one in build/aarch64"
    )
    options = parser.parse_args()
    try:
        counts = count_runs(options.program, options.cpu, options.isa)
    except count.CountError as error:
        print(f"bench_upsample_argmax.py: {error}", file=sys.stderr)
        return 2
    print(table(counts))
    return 1 if missed(counts) else 0


if __name__ == "__main__":
    sys.exit(main())
