"""Counts, pipeline cycles and cache misses of kernels, blocks and networks on ARM, on any machine.

    cmake --preset aarch64 && cmake --build --preset aarch64 && tests/arm/make_site.sh
    python benchmarks/arm/bench_arm.py [--quick] [--out FOLDER]

Writes bench-arm.json, bench-arm.md and, with matplotlib, a chart. What cannot be had is named as
absent, with what is missing. On an ARM machine it also times the kernels, with build/release.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import count
import count_layers
import count_model
import loops
import peer_models
import unfused

import seaformer_kernels as sk
from seaformer_kernels.bench import machine
from seaformer_kernels.bench.tables import number, table

SCHEMA = "seaformer-bench-arm/1"
KERNELS = ("pointwise", "depthwise", "stem", "stem_block", "inverted_residual", "sea_attention")
QUICK_LAYERS = 4  # of each kernel
HOT = 0.02  # of a layer's instructions: loops that run less are not looked at
CACHES = {"l1": 64 << 10, "l1_ways": 4, "l2": 512 << 10, "l2_ways": 8, "line": 64}
NETWORKS = ("ours", "whole", "eager", "onnxruntime", "ncnn")
NATIVE = count_layers.BUILD.parent / "release"


class Cycles:
    """The cycles of loops on each core, from llvm-mca once a loop."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, float]] = {}

    def of(self, loop: loops.Loop) -> dict[str, float]:
        """Cycles an iteration, by core."""
        text = loops.assembly(loop)
        if text not in self._known:
            self._known[text] = {core: loops.cycles(loop, core) for core in loops.CORES}
        return self._known[text]


def measure_kernel(kernel: str, most: int | None, caches: dict[str, int], cpu: str) -> list[dict]:
    """The rows of a kernel's layers, of so many spread over all if `most` is given."""
    program = count_layers.BUILD / f"bench_{kernel}"
    if not program.is_file():
        raise count.CountError(f"{program}: no such program; --help tells how to build it")
    all_loops = loops.innermost(loops.disassemble(program))
    known, rows = Cycles(), []
    layers = list(enumerate(count_layers.layers(program)))
    step = 1 if most is None else max(1, len(layers) // most)
    for index, (name, macs) in layers[::step]:
        arguments = ["neon", str(index)]
        (counts,) = count.count(program, arguments, cpu, options={"blocks": 1})
        (cache,) = count.count(program, arguments, cpu, count.CACHE, caches)
        ran = loops.executed(all_loops, counts.pop("blocks"))
        hot = [loop for loop in all_loops if ran.get(loop.head, (0,))[0] > HOT * counts["total"]]
        rows.append(
            {
                "kernel": kernel,
                "layer": name,
                "macs": macs,
                "counts": _without_window(counts),
                "cache": _without_window(cache),
                "in_hot_loops": sum(ran[loop.head][0] for loop in hot),
                "loops": [
                    {
                        "function": loop.function,
                        "offset": loop.head,
                        "instructions": len(loop.body),
                        "fmas": loop.fmas,
                        "iterations": ran[loop.head][1],
                        "cycles": known.of(loop),
                    }
                    for loop in hot
                ],
            }
        )
    return rows


def measure_network(
    variant: str, outputs: list[str], caches: dict[str, int], cpu: str, absent: dict[str, str]
) -> list[dict]:
    """The rows of whole inferences of a variant; what cannot run is added to `absent`."""
    rows, ideal = [], count_model.ideal_fmas(variant)[""]
    for name in NETWORKS:
        if name in absent:
            continue
        try:
            path = [str(count_model.SITE), str(count_model.HERE)]
            if name in peer_models.WHEELS:
                peer_models.install(name)
                for output in outputs:
                    peer_models.convert(name, variant, output)
                path.append(str(peer_models.SITE / name))
            environment = {
                "PYTHONPATH": ":".join(path),
                "SEAFORMER_ARM_MODELS": str(peer_models.MODELS),
            }
            runs = [f"{name}:{output}" for output in outputs]
            counts = count_model.count_runs(variant, runs, cpu, environment=environment)
            moved = count_model.count_runs(variant, runs, cpu, count.CACHE, caches, environment)
        except (count.CountError, OSError) as error:
            absent[name] = str(error).strip().splitlines()[0]
            continue
        rows += [
            {
                "model": variant,
                "implementation": name,
                "output": output,
                "ideal_fmas": ideal,
                "counts": _without_window(counts[f"{name}:{output}"]),
                "cache": _without_window(moved[f"{name}:{output}"]),
            }
            for output in outputs
        ]
    return rows


def with_unfused(networks: list[dict], kernels: list[dict]) -> list[dict]:
    """The rows, and behind each of ours to logits one with its blocks run layer by layer."""
    rows = []
    for row in networks:
        rows.append(row)
        if (row["implementation"], row["output"]) == ("ours", "logits"):
            figures = unfused.unfused(row, row["model"], kernels)
            rows += [row | figures | {"implementation": "ours unfused"}] if figures else []
    return rows


def native_times(kernel: str) -> list[dict]:
    """On an ARM machine: what the native program of a kernel tells of its layers' times."""
    printed = count.run([str(NATIVE / f"bench_{kernel}"), "neon"])
    found = re.findall(r"^(\S+)\s+([\d.]+) ms\s+([\d.]+) GMAC/s of\s+([\d.]+)", printed, re.M)
    return [
        {"kernel": kernel, "layer": layer, "ms": float(ms), "share_of_peak": float(a) / float(b)}
        for layer, ms, a, b in found
    ]


def loop_cycles(row: dict, core: str) -> float:
    """Cycles that a layer's hot loops take, for each ideal FMA of the layer."""
    cycles = sum(loop["iterations"] * loop["cycles"][core] for loop in row["loops"])
    return cycles / (row["macs"] / 4)


def kernel_table(rows: list[dict]) -> str:
    """A row for each kernel and the way that it runs, which names give behind a slash."""
    groups: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        groups.setdefault((row["kernel"], row["layer"].partition("/")[2]), []).append(row)

    def median(values: list[float]) -> str:
        return f"{statistics.median(values):.3f}"

    lines = []
    for (kernel, way), found in groups.items():
        ratios = [row["counts"]["total"] / (row["macs"] / 4) for row in found]
        lines.append(
            [
                f"{kernel} {way}".strip(),
                str(len(found)),
                median(ratios),
                f"{max(ratios):.3f}",
                median([row["counts"]["vec_fma"] / (row["macs"] / 4) for row in found]),
                median([row["in_hot_loops"] / row["counts"]["total"] for row in found]),
                *(median([loop_cycles(row, core) for row in found]) for core in loops.CORES),
                *(
                    median([row["cache"][key] / (row["macs"] / 4) for row in found])
                    for key in ("l2_bytes", "memory_bytes")
                ),
            ]
        )
    columns = ["kernel or block", "layers", "instructions", "at most", "FMAs", "share in hot loops"]
    columns += [f"cycles, {core}" for core in loops.CORES]
    return table([*columns, "bytes from and to L2", "bytes from and to memory"], lines)


def loop_table(rows: list[dict], most: int = 16) -> str:
    """The loops in which the layers spend most instructions."""
    weights: dict[tuple, float] = {}
    for row in rows:
        for loop in row["loops"]:
            key = row["kernel"], loop["function"], loop["offset"], loop["instructions"]
            key += loop["fmas"], *loop["cycles"].values()
            weights[key] = weights.get(key, 0) + loop["iterations"] * loop["instructions"]
    lines = [
        [
            kernel,
            f"{loops.short_name(function)} at {offset:#x}",
            str(instructions),
            str(fmas),
            *(f"{value:.1f}" for value in cycles),
        ]
        for kernel, function, offset, instructions, fmas, *cycles in sorted(
            weights, key=weights.__getitem__, reverse=True
        )[:most]
    ]
    cores = [f"cycles, {core}" for core in loops.CORES]
    return table(["in", "loop", "instructions", "FMAs", *cores], lines)


def network_table(rows: list[dict]) -> str:
    """A row for each inference."""
    lines = [
        [
            row["model"].removeprefix("seaformer_"),
            row["implementation"],
            row["output"],
            number(row["counts"]["total"] / 1e6),
            number(row["counts"]["vec_fma"] / 1e6),
            f"{row['counts']['total'] / row['ideal_fmas']:.3f}",
            number(row["cache"]["l1_misses"] / 1e6),
            number(row["cache"]["l2_misses"] / 1e6),
            number(row["cache"]["l2_bytes"] / 2**20),
            number(row["cache"]["memory_bytes"] / 2**20),
        ]
        for row in rows
    ]
    columns = ["model", "by", "to", "instructions, M", "FMAs, M", "instructions an ideal FMA"]
    columns += ["L1 misses, M", "L2 misses, M", "MB from and to L2", "MB from and to memory"]
    return table(columns, lines)


def report(record: dict) -> str:
    """The record as a Markdown document."""
    parts = [
        "# ARM, without an ARM machine",
        f"Emulated as {record['cpu']}; caches {record['caches']}. An ideal FMA does four of the "
        "multiply-adds; counts of kernels, and their bytes, are for each ideal one.",
        *(f"`{name}` is absent: {reason}." for name, reason in record["absent"].items()),
    ]
    if record["kernels"]:
        parts += [
            "## Kernels and blocks, medians over their layers",
            kernel_table(record["kernels"]),
        ]
        parts += ["## Hot loops, cycles an iteration by llvm-mca", loop_table(record["kernels"])]
    if record["networks"]:
        parts += ["## Networks, one 512x512 image", network_table(record["networks"])]
        parts += [
            "`ours` is op by op, `whole` one op for the network. `ours unfused` adds to `ours` "
            "what its inverted residuals, counted alone, take more as single layers of our kernels."
        ]
    if record["times"]:
        lines = [
            [t["kernel"], t["layer"], number(t["ms"]), f"{t['share_of_peak']:.0%}"]
            for t in record["times"]
        ]
        parts += ["## Times", table(["kernel", "layer", "ms", "share of the peak"], lines)]
    return "\n\n".join(parts) + "\n"


def draw(rows: list[dict], path: Path) -> None:
    """A bar for each inference to logits, of its classes of instructions an ideal FMA."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = [row for row in rows if row["output"] == "logits"]
    classes = [c for c in rows[0]["counts"] if c != "total" and any(r["counts"][c] for r in rows)]
    names = [f"{row['model'].removeprefix('seaformer_')}\n{row['implementation']}" for row in rows]
    figure, axes = plt.subplots(figsize=(2 + 0.8 * len(rows), 5), layout="constrained")
    bottoms = [0.0] * len(rows)
    for place, name in enumerate(classes):
        heights = [row["counts"][name] / row["ideal_fmas"] for row in rows]
        axes.bar(range(len(rows)), heights, bottom=bottoms, label=name, color=f"C{place}")
        bottoms = [a + b for a, b in zip(bottoms, heights, strict=True)]
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xticks(range(len(rows)), names, fontsize=8)
    axes.set_ylabel("instructions an ideal FMA, 512x512 image to logits")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _without_window(window: dict) -> dict:
    return {key: value for key, value in window.items() if key != "window"}


def attempt(absent: dict[str, str], what: str, work: Callable[[], list[dict]]) -> list[dict]:
    """What work returns; if it cannot be done here, nothing, and `absent` says why."""
    try:
        return work()
    except (count.CountError, OSError) as error:
        absent[what] = str(error).strip().splitlines()[0]
        return []


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="some layers, the smallest model")
    parser.add_argument("--minutes", type=float, help="start nothing later (default: 25; quick: 2)")
    parser.add_argument("--kernel", action="append", choices=KERNELS, help="may be repeated")
    parser.add_argument("--model", action="append", choices=sk.list_models(), help="likewise")
    parser.add_argument("--no-networks", action="store_true", help="only kernels and blocks")
    parser.add_argument("--cpu", default="cortex-a76", help="a name of `qemu-aarch64 -cpu help`")
    for name, value in CACHES.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=value, help=f"(default: {value})")
    parser.add_argument("--out", type=Path, default=Path("bench-output"), help="folder of results")
    options = parser.parse_args()
    caches = {name: getattr(options, name) for name in CACHES}
    minutes = options.minutes or (2 if options.quick else 25)
    end = time.monotonic() + 60 * minutes

    absent: dict[str, str] = {}
    record = {
        "schema": SCHEMA,
        "machine": machine.describe(),
        "conditions": machine.conditions(),
        "cpu": options.cpu,
        "caches": caches,
        "kernels": [],
        "networks": [],
        "times": [],
        "absent": absent,
    }
    networks = options.model or sk.list_models()[: 1 if options.quick else None]
    outputs = ["logits"] if options.quick else ["logits", "labels"]
    # Networks first: the figures that most depend on them.
    for model in [] if options.no_networks else networks:
        if time.monotonic() > end:
            absent[model] = "the time was over"
            continue
        print(f"bench_arm.py: {model}", file=sys.stderr)
        found = attempt(
            absent, model, lambda m=model: measure_network(m, outputs, caches, options.cpu, absent)
        )
        record["networks"] += found
    for kernel in options.kernel or KERNELS:
        if time.monotonic() > end:
            absent[kernel] = "the time was over"
            continue
        print(f"bench_arm.py: {kernel}", file=sys.stderr)
        most = QUICK_LAYERS if options.quick else None
        record["kernels"] += attempt(
            absent, kernel, lambda k=kernel, n=most: measure_kernel(k, n, caches, options.cpu)
        )
        if platform.machine() in ("aarch64", "arm64"):
            record["times"] += attempt(
                absent, f"times of {kernel}", lambda k=kernel: native_times(k)
            )
    record["networks"] = with_unfused(record["networks"], record["kernels"])
    if not record["kernels"] and not record["networks"]:
        print(f"bench_arm.py: nothing could be counted: {absent}", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench-arm.json").write_text(json.dumps(record, indent=1) + "\n")
    (options.out / "bench-arm.md").write_text(report(record))
    if record["networks"]:
        try:
            draw(record["networks"], options.out / "bench-arm.png")
        except ModuleNotFoundError as error:
            print(f"bench_arm.py: no chart without {error.name}", file=sys.stderr)
    print(report(record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
