"""Counts, pipeline cycles and cache misses of kernels, blocks and networks on ARM, on any machine.

    cmake --preset aarch64 && cmake --build --preset aarch64 && tests/arm/make_site.sh
    python benchmarks/arm/bench_arm.py [--quick] [--dtype float32 --dtype float16] [--out FOLDER]

Writes bench-arm.json, bench-arm.md and, with matplotlib, a chart. What cannot be had is named as
absent, with what is missing. On an ARM machine it also times the kernels, with build/release.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import count
import count_layers
import count_model
import loops
import networks
import peer_models
import torch
import unfused
from jobs import Job, Runner

import seaformer_kernels as sk
from seaformer_kernels.bench import machine, peers
from seaformer_kernels.bench.tables import FLOAT32, model_name, number, table
from seaformer_kernels.ops._element import ELEMENTS, name_of

SCHEMA = "seaformer-bench-arm/3"
KERNELS = (
    "pointwise",
    "depthwise",
    "stem",
    "stem_block",
    "inverted_residual",
    "sea_attention",
    "segmentation_head",
)
TYPED_KERNELS = ("pointwise", "depthwise")  # whose programs take an element type
QUICK_LAYERS = 4  # of each kernel
REGISTER_BYTES = 16
HOT = 0.02  # of a layer's instructions: loops that run less are not looked at
CACHES = {"l1": 64 << 10, "l1_ways": 4, "l2": 512 << 10, "l2_ways": 8, "line": 64}
LAYERS_A_JOB = 6
# What is measured of networks, by process of the guest, which takes 20 seconds to start.
PROCESSES = (("ours", "whole"), ("eager",), ("onnxruntime",), ("ncnn",), ("mnn",))
QUICK_PROCESSES = (("ours", "eager"),)
PARTS_BY = ("ours", "eager")
OURS = ("ours", "whole")
# Figures of a network's caches, and what they are given in.
CACHE_COLUMNS = {"l1_misses": 1e6, "l2_misses": 1e6, "l2_bytes": 2**20, "memory_bytes": 2**20}
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


def kernel_jobs(
    kernel: str, dtype: str, most: int | None, caches: dict[str, int], cpu: str
) -> list[Job]:
    """The work on a kernel's layers in a type, of so many spread over all if `most` is given.

    Raises:
        CountError: the kernel's program is not built.
    """
    program = count_layers.BUILD / f"bench_{kernel}"
    if not program.is_file():
        raise count.CountError(f"{program}: no such program; --help tells how to build it")
    all_loops = loops.innermost(loops.disassemble(program))
    known = Cycles()
    layers = list(enumerate(count_layers.layers(program)))
    chosen = layers[:: 1 if most is None else max(1, len(layers) // most)]

    def measure(part: list[tuple[int, tuple[str, float]]]) -> list[dict]:
        return [
            measure_layer(kernel, dtype, program, index, layer, all_loops, known, caches, cpu)
            for index, layer in part
        ]

    parts = [chosen[i : i + LAYERS_A_JOB] for i in range(0, len(chosen), LAYERS_A_JOB)]
    return [
        Job(
            f"{kernel} in {dtype} from layer {part[0][0]}",
            f"{kernel} in {dtype}",
            sum(macs for _, (_, macs) in part),
            lambda part=part: measure(part),
        )
        for part in parts
    ]


def measure_layer(
    kernel: str,
    dtype: str,
    program: Path,
    index: int,
    layer: tuple[str, float],
    all_loops: list[loops.Loop],
    known: Cycles,
    caches: dict[str, int],
    cpu: str,
) -> dict:
    """The row of a layer, given by its number, name and multiply-adds."""
    name, macs = layer
    arguments = ["neon", str(index)]
    if dtype != FLOAT32:  # on the widest instruction set that has arithmetic of the type
        arguments = ["best", str(index), "--element", dtype.replace("float", "f")]
    (counts,) = count.count(program, arguments, cpu, options={"blocks": 1})
    (cache,) = count.count(program, arguments, cpu, count.CACHE, caches)
    ran = loops.executed(all_loops, counts.pop("blocks"))
    hot = [loop for loop in all_loops if ran.get(loop.head, (0,))[0] > HOT * counts["total"]]
    return {
        "kernel": kernel,
        "layer": name,
        "dtype": dtype,
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


def plugins_of(caches: dict[str, int] | None) -> dict[str, tuple]:
    """By what they find the plugins, and their options; without caches, only that which counts."""
    cache = {"cache": (count.CACHE, caches)} if caches else {}
    return {"counts": (count.COUNT, None), **cache}


def in_type(processes: Sequence[Sequence[str]], dtype: str) -> list[Sequence[str]]:
    """Those whose runtimes calculate in a type."""
    narrow = [name for name in peer_models.WHEELS if peers.PEERS[name].only_float32]
    return [names for names in processes if dtype == FLOAT32 or not {*narrow} & {*names}]


def network_jobs(
    model: str,
    output: str,
    dtype: str,
    processes: Sequence[Sequence[str]],
    caches: dict[str, int] | None,
    cpu: str,
) -> list[Job]:
    """The work on whole inferences of a model: for each process, counts and then caches."""
    ideal = count_model.ideal_fmas(model, dtype)[""]
    plugins = plugins_of(caches)

    def measure(names: Sequence[str], figures: str) -> list[dict]:
        runs = [f"{name}:{output}:{dtype}" for name in names]
        environment = peer_models.environment(names)
        found = count_model.count_runs(model, runs, cpu, *plugins[figures], environment)
        return [
            {
                "model": model,
                "implementation": name,
                "output": output,
                "dtype": dtype,
                "ideal_fmas": ideal,
                figures: _without_window(found[run]),
            }
            for name, run in zip(names, runs, strict=True)
        ]

    return [
        Job(
            f"{model} to {output} in {dtype} by {', '.join(names)}: {figures}",
            f"{' and '.join(names)} in {dtype}",
            ideal,
            lambda names=names, figures=figures: measure(names, figures),
        )
        for names in in_type(processes, dtype)
        for figures in plugins
    ]


def part_jobs(model: str, dtype: str, caches: dict[str, int], cpu: str) -> list[Job]:
    """The work on the parts of an inference of a model to logits."""
    ideal = count_model.ideal_fmas(model, dtype)
    blocks = count_model.blocks(model)
    plugins = plugins_of(caches)
    ideals: Counter = Counter()
    for name, (_, part) in blocks.items():
        ideals[part] += ideal[name]

    def measure(implementation: str, figures: str) -> list[dict]:
        run = f"{implementation}:blocks:{dtype}"
        windows = count_model.count_runs(model, [run], cpu, *plugins[figures])
        found = {part: Counter() for part in ideals}
        for name, (_, part) in blocks.items():
            found[part].update(_without_window(windows[name]))
        return [
            {
                "model": model,
                "implementation": implementation,
                "output": "logits",
                "dtype": dtype,
                "part": part,
                "ideal_fmas": ideals[part],
                figures: dict(sums),
            }
            for part, sums in found.items()
        ]

    return [
        Job(
            f"parts of {model} in {dtype} by {name}: {figures}",
            f"parts by {name} in {dtype}",
            ideal[""],
            lambda name=name, figures=figures: measure(name, figures),
        )
        for name in PARTS_BY
        for figures in plugins
    ]


def joined(rows: list[dict], figures: Sequence[str] = ("counts", "cache")) -> list[dict]:
    """Rows of counts and those of caches, as one each where there are all of these figures."""
    found: dict[tuple, dict] = {}
    for row in rows:
        key = row["model"], row.get("side"), row["implementation"], row["output"], row["dtype"]
        key += (row.get("part"),)
        found.setdefault(key, {}).update(row)
    return [row for row in found.values() if all(figure in row for figure in figures)]


def with_unfused(networks: list[dict], kernels: list[dict]) -> list[dict]:
    """The rows, and behind each of ours to logits one with its blocks run layer by layer."""
    rows = []
    for row in networks:
        rows.append(row)
        if (row["implementation"], row["output"], row["dtype"]) == ("ours", "logits", FLOAT32):
            figures = unfused.unfused(row, kernels)
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
    return cycles / _ideal(row)


def _ideal(row: dict) -> float:
    """The FMAs on full registers that a layer's multiply-adds fill."""
    return row["macs"] * getattr(torch, row["dtype"]).itemsize / REGISTER_BYTES


def kernel_table(rows: list[dict]) -> str:
    """A row for each kernel and the way that it runs, which names give behind a slash."""
    groups: dict[tuple[str, str, str], list[dict]] = {}
    for row in rows:
        key = row["kernel"], row["layer"].partition("/")[2], row["dtype"]
        groups.setdefault(key, []).append(row)

    def median(values: list[float]) -> str:
        return f"{statistics.median(values):.3f}"

    lines = []
    for (kernel, way, dtype), found in groups.items():
        ratios = [row["counts"]["total"] / _ideal(row) for row in found]
        lines.append(
            [
                f"{kernel} {way}".strip(),
                dtype,
                str(len(found)),
                median(ratios),
                f"{max(ratios):.3f}",
                median([row["counts"]["vec_fma"] / _ideal(row) for row in found]),
                median([row["in_hot_loops"] / row["counts"]["total"] for row in found]),
                *(median([loop_cycles(row, core) for row in found]) for core in loops.CORES),
                *(
                    median([row["cache"][key] / _ideal(row) for row in found])
                    for key in ("l2_bytes", "memory_bytes")
                ),
            ]
        )
    columns = [
        "kernel or block",
        "in",
        "layers",
        "instructions",
        "at most",
        "FMAs",
        "share in hot loops",
    ]
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


def an_ideal_fma(row: dict) -> str:
    """Instructions for each ideal FMA of a network or a part of it."""
    return f"{row['counts']['total'] / row['ideal_fmas']:.3f}"


def network_table(rows: list[dict]) -> str:
    """A row for each inference."""
    lines = [
        [
            model_name(row),
            row["implementation"],
            row["output"],
            row["dtype"],
            number(row["counts"]["total"] / 1e6),
            number(row["counts"]["vec_fma"] / 1e6),
            an_ideal_fma(row),
            *(
                number(row["cache"][key] / unit) if "cache" in row else ""
                for key, unit in CACHE_COLUMNS.items()
            ),
        ]
        for row in rows
    ]
    columns = ["model", "by", "to", "in", "instructions, M", "FMAs, M", "instructions an ideal FMA"]
    columns += ["L1 misses, M", "L2 misses, M", "MB from and to L2", "MB from and to memory"]
    return table(columns, lines)


def type_table(rows: list[dict], output: str = "logits") -> str:
    """M instructions to an output by each implementation in each type, and how many times fewer."""
    rows = [row for row in rows if row["output"] == output]
    names = [n for n in dict.fromkeys(row["implementation"] for row in rows) if n != "ours unfused"]
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        by = found.setdefault((model_name(row), row["dtype"]), {})
        by[row["implementation"]] = row["counts"]["total"] / 1e6
    others = [name for name in names if name not in OURS]
    lines = [
        [
            model,
            dtype,
            *(number(by[name]) if name in by else "" for name in names),
            *(
                f"{by[name] / by['whole']:.2f}" if {name, "whole"} <= {*by} else ""
                for name in others
            ),
        ]
        for (model, dtype), by in found.items()
    ]
    columns = ["model", "in", *(f"{name}, M" for name in names)]
    return table([*columns, *(f"{name} / whole" for name in others)], lines)


def part_table(rows: list[dict]) -> str:
    """A row for each part of a network, by all implementations side by side."""
    names = list(dict.fromkeys(row["implementation"] for row in rows))
    found: dict[tuple[str, str, str], dict[str, dict]] = {}
    for row in rows:
        key = row["model"], row["dtype"], row["part"]
        found.setdefault(key, {})[row["implementation"]] = row
    lines = [
        [
            model_name(by["ours"]),
            dtype,
            part,
            number(by["ours"]["ideal_fmas"] / 1e6),
            *(an_ideal_fma(by[n]) if n in by else "" for n in names),
            *(number(by[n]["cache"]["memory_bytes"] / 2**20) if n in by else "" for n in names),
        ]
        for (_, dtype, part), by in found.items()
    ]
    columns = [
        "model",
        "in",
        "part",
        "ideal FMAs, M",
        *(f"instructions an ideal FMA, {n}" for n in names),
    ]
    return table([*columns, *(f"MB from and to memory, {n}" for n in names)], lines)


def report(record: dict) -> str:
    """The record as a Markdown document."""
    absent = record["absent"]
    parts = [
        "# ARM, without an ARM machine",
        f"Emulated as {record['cpu']}; caches {record['caches']}. An ideal FMA does as many of the "
        "multiply-adds as a register of 16 bytes holds values of the type; counts of kernels, and "
        "their bytes, are for each ideal one.",
        *(
            f"Absent: {', '.join(x for x, why in absent.items() if why == reason)} ({reason})."
            for reason in dict.fromkeys(absent.values())
        ),
    ]
    if record["kernels"]:
        parts += [
            "## Kernels and blocks, medians over their layers",
            kernel_table(record["kernels"]),
        ]
        parts += ["## Hot loops, cycles an iteration by llvm-mca", loop_table(record["kernels"])]
    if record["networks"]:
        parts += ["## Networks, one 512x512 image", network_table(record["networks"])]
        parts += ["### To logits, by element type", type_table(record["networks"])]
        parts += [
            "`ours` is op by op, `whole` one op for the network. `ours unfused` adds to `ours` "
            "what its blocks, counted alone, take more as single layers of our kernels."
        ]
    if record["parts"]:
        parts += [
            "## Parts of networks",
            part_table(record["parts"]),
            "A block counts from the end of the one before it, additions between them included.",
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
    from matplotlib import pyplot as plt

    from seaformer_kernels.bench import charts

    rows = [row for row in rows if row["output"] == "logits"]
    classes = [c for c in rows[0]["counts"] if c != "total" and any(r["counts"][c] for r in rows)]
    names = [f"{model_name(row)}\n{row['implementation']}\n{row['dtype']}" for row in rows]
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
    charts.save(figure, path)
    plt.close(figure)


def _without_window(window: dict) -> dict:
    return {key: value for key, value in window.items() if key != "window"}


def prepare_peers(runs: Sequence[tuple[str, str]], absent: dict[str, str]) -> None:
    """Has the runtimes of others and, for each model and output, what they read."""
    for name in peer_models.WHEELS:
        try:
            peer_models.install(name)
            for model, output in runs:
                peer_models.convert(name, model, networks.SIDE, output)
        except (count.CountError, OSError) as error:
            absent[name] = count.reason(error)


def plan_jobs(options: argparse.Namespace, absent: dict[str, str]) -> list[Job]:
    """All work, what matters most first; what cannot be done goes to `absent`."""
    caches = {name: getattr(options, name) for name in CACHES}
    models = options.model or sk.list_models()[: 1 if options.quick else None]
    processes = QUICK_PROCESSES if options.quick else PROCESSES
    dtypes = options.dtype or [FLOAT32]
    logits = [] if options.no_networks else [(model, "logits") for model in models]
    # The resize is as much work for every model.
    labels = [] if options.quick or options.counts or not logits else [(models[0], "labels")]
    if not options.quick:
        prepare_peers(logits + labels, absent)

    def parts(runs: Sequence[tuple[str, str]]) -> list[Job]:
        chosen = [] if options.quick or options.counts else itertools.product(runs, dtypes)
        return [
            job
            for (model, _), dtype in chosen
            for job in part_jobs(model, dtype, caches, options.cpu)
        ]

    def networks(runs: Sequence[tuple[str, str]]) -> list[Job]:
        return [
            job
            for run, dtype in itertools.product(runs, dtypes)
            for job in network_jobs(
                *run, dtype, processes, None if options.counts else caches, options.cpu
            )
        ]

    kernels = []
    for kernel in [] if options.counts else options.kernel or KERNELS:
        try:
            most = QUICK_LAYERS if options.quick else None
            for dtype in dtypes if kernel in TYPED_KERNELS else [FLOAT32]:
                kernels += kernel_jobs(kernel, dtype, most, caches, options.cpu)
        except (count.CountError, OSError) as error:
            absent[kernel] = count.reason(error)
    first, larger = networks(logits[:1]), networks(logits[1:])
    return first + kernels + networks(labels) + parts(logits[:1]) + larger + parts(logits[1:])


def measure_times(kernels: Sequence[str], absent: dict[str, str]) -> list[dict]:
    """On an ARM machine the times of kernels; elsewhere none."""
    rows = []
    for kernel in kernels if platform.machine() in ("aarch64", "arm64") else ():
        try:
            rows += native_times(kernel)
        except (count.CountError, OSError) as error:
            absent[f"times of {kernel}"] = count.reason(error)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="some layers, the smallest model")
    parser.add_argument("--minutes", type=float, help="end by then (default: 25; quick: 3)")
    parser.add_argument("--kernel", action="append", choices=KERNELS, help="may be repeated")
    parser.add_argument("--model", action="append", choices=sk.list_models(), help="likewise")
    parser.add_argument(
        "--dtype",
        action="append",
        choices=[name_of(dtype) for dtype in ELEMENTS],
        help="element type of networks, float32 unless given; may be repeated",
    )
    parser.add_argument(
        "--counts", action="store_true", help="only instructions of networks to logits"
    )
    parser.add_argument("--no-networks", action="store_true", help="only kernels and blocks")
    parser.add_argument("--cpu", default="cortex-a76", help="a name of `qemu-aarch64 -cpu help`")
    for name, value in CACHES.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=value, help=f"(default: {value})")
    parser.add_argument("--out", type=Path, default=Path("bench-output"), help="folder of results")
    options = parser.parse_args()
    start = time.monotonic()
    minutes = options.minutes or (3 if options.quick else 25)

    absent: dict[str, str] = {}
    conditions = machine.conditions()
    count_model.build_markers()
    for plugin in (count.COUNT, count.CACHE):
        count.build_plugin(plugin)
    rows = Runner(start + 60 * minutes, absent).run(plan_jobs(options, absent))
    kernels = [row for row in rows if "kernel" in row]
    figures = plugins_of(None if options.counts else CACHES)
    inferences = joined([row for row in rows if "model" in row], [*figures])
    if not options.counts:
        inferences = with_unfused(inferences, kernels)
    record = {
        "schema": SCHEMA,
        "machine": machine.describe(),
        "conditions": conditions | {"seconds": round(time.monotonic() - start, 1)},
        "cpu": options.cpu,
        "caches": {name: getattr(options, name) for name in CACHES},
        "counts_only": options.counts,
        "kernels": kernels,
        "networks": [row for row in inferences if "part" not in row],
        "parts": [row for row in inferences if "part" in row],
        "times": [] if options.counts else measure_times(options.kernel or KERNELS, absent),
        "absent": absent,
    }
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
