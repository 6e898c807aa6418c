"""Counts the instructions of whole inferences on ARM: optimised models, 512x512, one thread.

    tests/arm/make_site.sh
    python benchmarks/arm/count_model.py [VARIANT...] [--all] [--dtype float16] [--whole] [--labels]
                                         [--eager] [--blocks]

An ideal FMA does as many as a register holds, four of float32, of the multiply-adds that the plain
model has in convolutions and matrix products. What is counted begins and ends in Python, after an
inference to warm up. Exits with 1 when a target is missed, with 2 when nothing could be counted.
Needs what count.py and tests/arm need.
"""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path

import count
import networks
import torch
from torch import nn

import seaformer_kernels as sk
from seaformer_kernels.bench.models import plain_model
from seaformer_kernels.bench.split import group
from seaformer_kernels.bench.traffic import block_multiply_adds, named_modules
from seaformer_kernels.fused import FusedBlock

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SITE = ROOT / "build" / "arm" / "site"
MARKERS = ROOT / "build" / "arm" / "markers.so"
GUEST = HERE / "run_model.py"

REGISTER = 16  # bytes
# The most instructions for each ideal FMA that ours may take to logits, by type.
TARGETS = {
    "float32": {
        "seaformer_tiny": 1.22,
        "seaformer_small": 1.20,
        "seaformer_base": 1.17,
        "seaformer_large": 1.15,
    },
    "float16": {
        "seaformer_tiny": 1.28,
        "seaformer_small": 1.26,
        "seaformer_base": 1.21,
        "seaformer_large": 1.19,
    },
}

Windows = dict[str, dict]  # by what run_model.py says they hold


@functools.cache
def optimised(variant: str) -> nn.Module:
    """Our model, op by op."""
    return sk.optimize(plain_model(variant, "logits"))


@functools.cache
def ideal_fmas(variant: str, dtype: str = "float32") -> dict[str, int]:
    """The vector FMAs that multiply-adds fill: by fused block its own, "" for the whole model."""
    side = networks.SIDE
    blocks = block_multiply_adds(variant, optimised(variant), side, side)
    macs = {"": networks.multiply_adds(variant)} | blocks
    return {name: number // lanes(dtype) for name, number in macs.items()}


def lanes(dtype: str) -> int:
    """The values of a type that a register holds."""
    return REGISTER // getattr(torch, dtype).itemsize


def blocks(variant: str) -> dict[str, tuple[FusedBlock, str]]:
    """By name each fused block, and the part of the network that it counts for (`split.group`)."""
    return {
        name: (block, group(name, block))
        for name, block in named_modules(optimised(variant))
        if isinstance(block, FusedBlock)
    }


def build_markers() -> None:
    """Compiles the markers that the guest's Python calls."""
    flags = ["-O2", "-shared", "-fPIC", "-nostdlib"]
    count.build(MARKERS, HERE / "markers.cpp", ["aarch64-linux-gnu-g++", *flags])


def count_runs(
    variant: str,
    runs: list[str],
    cpu: str,
    plugin: str = count.COUNT,
    options: dict[str, int] | None = None,
    environment: dict[str, str] | None = None,
) -> Windows:
    """What a plugin tells of what run_model.py runs, with more variables in its environment."""
    arguments = [variant, str(networks.SIDE), *runs]
    return dict(count_guest(arguments, cpu, plugin, options, environment))


def count_guest(
    arguments: list[str],
    cpu: str,
    plugin: str = count.COUNT,
    options: dict[str, int] | None = None,
    environment: dict[str, str] | None = None,
) -> list[tuple[str, dict]]:
    """As `count_runs`, for any arguments of run_model.py: each window in order, with its name."""
    if not SITE.is_dir():
        raise count.CountError(f"{SITE}: no such folder; tests/arm/make_site.sh makes it")
    build_markers()
    variables = {
        "PYTHONPATH": f"{SITE}:{HERE}",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        **(environment or {}),
    }
    guest = ["python", str(GUEST), str(MARKERS), *arguments]
    windows, printed = count.count_command(
        lambda value: [
            str(ROOT / "tests" / "arm" / "run.sh"),
            cpu,
            f"QEMU_PLUGIN={value}",
            *(f"{name}={text}" for name, text in variables.items()),
            *guest,
        ],
        GUEST.name,
        plugin,
        options,
    )
    # Others print too: oneDNN, for one, that the emulator hides the processor's model from it.
    lines = (line.split() for line in printed.splitlines())
    names = [line[1] for line in lines if line[:1] == ["window"]]
    if len(names) != len(windows):
        raise count.CountError(
            f"{GUEST.name}: expected a name for each of {len(windows)} windows, got {printed!r}"
        )
    return [*zip(names, windows, strict=True)]


def run_rows(
    variant: str, windows: Windows, ideal: dict[str, int], target: float
) -> list[list[str]]:
    """A row for each whole inference; the target is for ours, to logits."""
    rows = []
    for run in (name for name in windows if ":" in name and ":blocks" not in name):
        implementation, output = run.split(":")[:2]
        total, fmas = windows[run]["total"], windows[run]["vec_fma"]
        row = [variant, implementation, output, f"{total:,}", f"{fmas:,}"]
        if output == "logits":
            ratio = total / ideal[""]
            row += [f"{ideal['']:,}", f"{ratio:.3f}"]
            if implementation != "eager":
                row.append(f"{'missed' if ratio > target else 'met'}: {target:.2f}")
        rows.append(row)
    return rows


def block_rows(windows: Windows, ideal: dict[str, int]) -> list[list[str]]:
    """A row for each fused block, without those inside of it, and one for what follows the last."""
    blocks = [name for name in windows if ":" not in name]
    rows = []
    for name in blocks:
        own, total = ideal[name], windows[name]["total"]
        rows.append([name, f"{total:,}", f"{own:,}", f"{total - own:,}", f"{total / own:.3f}"])
    return rows


def table(rows: list[list[str]]) -> str:
    """Rows of text with aligned columns, the first to the left; short rows end early."""
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
    lines = []
    for row in rows:
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=False))
        lines.append("  ".join([first.strip().ljust(widths[0]), *others]))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("variants", nargs="*", help="default: the smallest")
    parser.add_argument("--dtype", default="float32", choices=TARGETS, help="of ours")
    parser.add_argument("--all", action="store_true", help="all variants")
    parser.add_argument("--whole", action="store_true", help="ours as one op")
    parser.add_argument("--labels", action="store_true", help="image to labels, too")
    parser.add_argument("--eager", action="store_true", help="the plain model in PyTorch, too")
    parser.add_argument("--blocks", action="store_true", help="each fused block, too")
    parser.add_argument("--cpu", default="cortex-a76", help="a name of `qemu-aarch64 -cpu help`")
    options = parser.parse_args()
    known = sk.list_models()
    variants = known if options.all else options.variants or known[:1]
    unknown = [variant for variant in variants if variant not in known]
    if unknown:
        parser.error(f"expected variants among {', '.join(known)}, got {unknown[0]!r}")
    ours = "whole" if options.whole else "ours"
    types = {ours: options.dtype} | ({"eager": "float32"} if options.eager else {})
    outputs = ["logits", "labels"] if options.labels else ["logits"]
    runs = [f"{name}:{output}:{dtype}" for name, dtype in types.items() for output in outputs]
    if options.blocks:
        runs.append(f"ours:blocks:{options.dtype}")  # last: its hooks stay

    rows = [["model", "run", "output", "instructions", "FMAs", "ideal FMAs", "ratio", "target"]]
    late = False
    try:
        for variant in variants:
            ideal = ideal_fmas(variant, options.dtype)
            target = TARGETS[options.dtype][variant]
            windows = count_runs(variant, runs, options.cpu)
            late |= windows[f"{ours}:logits:{options.dtype}"]["total"] / ideal[""] > target
            rows += run_rows(variant, windows, ideal, target)
            if options.blocks:
                heading = [variant, "instructions", "ideal FMAs", "others", "ratio"]
                print(f"{table([heading, *block_rows(windows, ideal)])}\n", flush=True)
    except count.CountError as error:
        print(f"count_model.py: {error}", file=sys.stderr)
        return 2
    print(table(rows))
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
