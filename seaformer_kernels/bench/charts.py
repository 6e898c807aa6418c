"""The record as charts: latency, roofline, and scaling with pixels and with threads."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from seaformer_kernels.bench.tables import parts_of

FORMATS = ("png", "svg")


def draw(record: dict, folder: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Draws what the record has cases for into files of the folder, and returns them."""
    cases = record["cases"]
    charts = {
        **{f"latency-{output}": _chosen(cases, output) for output in ("logits", "labels")},
        "parts": cases,
        "roofline": cases,
        "pixels": _varied(cases, "height", "width"),
        "threads": _varied(cases, "threads"),
    }
    drawers = {"parts": _parts, "pixels": _pixels, "threads": _threads}
    written = []
    for name, chosen in charts.items():
        if not chosen:
            continue
        figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
        if name == "roofline":
            _roofline(axes, chosen, record["limits"])
        else:
            drawers.get(name, _latency)(axes, chosen)
        for suffix in formats:
            written.append(folder / f"{name}.{suffix}")
            figure.savefig(written[-1], dpi=120)
        plt.close(figure)
    return written


def _chosen(cases: Sequence[dict], output: str) -> list[dict]:
    """The cases of an output on the fewest threads, at the size that most of them have."""
    cases = [case for case in cases if case["output"] == output]
    if not cases:
        return []
    threads = min(case["threads"] for case in cases)
    size = statistics.mode((case["height"], case["width"]) for case in cases)
    return [c for c in cases if c["threads"] == threads and (c["height"], c["width"]) == size]


def _varied(cases: Sequence[dict], *fields: str) -> list[dict]:
    """The cases, to logits, that differ from another in these fields and in none else."""
    fixed = [f for f in ("model", "height", "width", "threads", "output") if f not in fields]
    groups: dict[tuple, list[dict]] = {}
    for case in cases:
        if case["output"] == "logits":
            groups.setdefault(tuple(case[f] for f in fixed), []).append(case)
    return [case for group in groups.values() if len(group) > 1 for case in group]


def _latency(axes: Axes, cases: Sequence[dict]) -> None:
    names = list(dict.fromkeys(_label(i) for c in cases for i in c["implementations"]))
    width = 0.8 / len(names)
    for place, name in enumerate(names):
        for position, case in enumerate(cases):
            for i in (i for i in case["implementations"] if _label(i) == name):
                x = position + (place - (len(names) - 1) / 2) * width
                label = name if x == _first_x(names, cases, name, width) else None
                axes.bar(x, 1e3 * i["median_s"], width, color=f"C{place}", label=label)
                axes.vlines(x, 1e3 * i["min_s"], 1e3 * i["p95_s"], color="black", linewidth=1)
    axes.set_xticks(range(len(cases)), [_model(case) for case in cases])
    case = cases[0]
    axes.set_ylabel("milliseconds: median; line from least to 95th percentile")
    axes.set_title(
        f"Image {case['height']}x{case['width']} to {case['output']}, "
        f"{case['threads']} thread(s), float32"
    )
    axes.legend()


def _first_x(names: list[str], cases: Sequence[dict], name: str, width: float) -> float:
    """Where the first bar of a name stands: only that one is in the legend."""
    present = (any(_label(i) == name for i in case["implementations"]) for case in cases)
    position = next(p for p, there in enumerate(present) if there)
    return position + (names.index(name) - (len(names) - 1) / 2) * width


def _parts(axes: Axes, cases: Sequence[dict]) -> None:
    bottoms = [0.0] * len(cases)
    for part in parts_of(cases):
        shares = []
        for case in cases:
            medians = {k: statistics.median(v) for k, v in case["split"]["seconds"].items()}
            shares.append(100 * medians.get(part, 0.0) / sum(medians.values()))
        axes.bar(range(len(cases)), shares, bottom=bottoms, label=part)
        bottoms = [a + b for a, b in zip(bottoms, shares, strict=True)]
    ticks = [f"{_model(c)}\n{c['height']}, {c['threads']}t\n{c['output']}" for c in cases]
    axes.set_xticks(range(len(cases)), ticks, fontsize=7)
    axes.set_ylabel("% of our time")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)


def _roofline(axes: Axes, cases: Sequence[dict], limits: Sequence[dict]) -> None:
    case = next((c for c in cases if c["output"] == "logits"), cases[0])
    isa, threads = case["split"]["isa"], case["threads"]
    cases = [c for c in cases if c["output"] == "logits" and c["threads"] == threads] or [case]
    limit = next(x for x in limits if (x["isa"], x["threads"]) == (isa, threads))
    peak, bandwidth = limit["macs_per_s"], limit["copy_bytes_per_s"]
    points: dict[str, list[tuple[float, float]]] = {}
    for c in cases:
        for part, work in c["work"].items():
            seconds = c["split"]["seconds"].get(part)
            if seconds and work["macs"]:
                speed = work["macs"] / statistics.median(seconds) / 1e9
                points.setdefault(part, []).append((work["macs"] / work["bytes"], speed))
        macs, moved = (sum(w[key] for w in c["work"].values()) for key in ("macs", "bytes"))
        own = next(i for i in c["implementations"] if i["name"] == isa)
        points.setdefault("whole network", []).append((macs / moved, macs / own["median_s"] / 1e9))
    for part, found in points.items():
        marker = "*" if part == "whole network" else "o"
        axes.scatter(*zip(*found, strict=True), label=part, marker=marker, s=40)
    ends = [x for found in points.values() for x, _ in found] + [peak / bandwidth]
    xs = [min(ends) / 2, peak / bandwidth, max(ends) * 2]
    axes.plot(xs, [min(peak, x * bandwidth) / 1e9 for x in xs], color="black")
    axes.set(xscale="log", yscale="log")
    axes.set_xlabel("multiply-adds a byte that blocks read and write")
    axes.set_ylabel("GMAC/s")
    axes.set_title(
        f"Roofline, {isa}, {threads} thread(s): {peak / 1e9:.0f} GMAC/s from registers, "
        f"{bandwidth / 1e9:.0f} GB/s copied"
    )
    axes.legend(fontsize=8)


def _pixels(axes: Axes, cases: Sequence[dict]) -> None:
    for (model, name), found in _lines(cases).items():
        points = sorted((c["height"] * c["width"], i["median_s"]) for c, i in found)
        if len(points) > 1:
            sides = [math.sqrt(pixels) for pixels, _ in points]
            axes.plot(sides, [1e9 * s / p for p, s in points], "o-", label=f"{model}, {name}")
    axes.set_xscale("log", base=2)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("side of a square of as many pixels")
    axes.set_ylabel("nanoseconds a pixel")
    axes.legend(fontsize=8)


def _threads(axes: Axes, cases: Sequence[dict]) -> None:
    most = max(case["threads"] for case in cases)
    axes.plot([1, most], [1, most], "--", color="grey", label="ideal")
    for (model, name), found in _lines(cases).items():
        points = sorted((c["threads"], i["median_s"]) for c, i in found)
        if len(points) > 1:
            fewest, slowest = points[0]
            speedups = [fewest * slowest / seconds for _, seconds in points]
            axes.plot([t for t, _ in points], speedups, "o-", label=f"{model}, {name}")
    axes.set_xlabel("threads")
    axes.set_ylabel("times faster than one thread")
    axes.legend(fontsize=7)


def _lines(cases: Iterable[dict]) -> dict[tuple[str, str], list[tuple[dict, dict]]]:
    """By model and implementation, its cases."""
    lines: dict[tuple[str, str], list[tuple[dict, dict]]] = {}
    for case in cases:
        for i in case["implementations"]:
            lines.setdefault((_model(case), _label(i)), []).append((case, i))
    return lines


def _label(implementation: dict) -> str:
    name = implementation["name"]
    return f"ours, {name}" if implementation["ours"] else name


def _model(case: dict) -> str:
    return case["model"].removeprefix("seaformer_")
