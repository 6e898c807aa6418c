"""The record as charts: latency, roofline, and scaling with pixels and with threads."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from seaformer_kernels.bench.tables import (
    FLOAT32,
    model_name,
    number,
    parts_of,
    size_of,
    types_of,
    usual,
)

FORMATS = ("png", "svg")
matplotlib.rcParams["svg.hashsalt"] = "seaformer"  # names inside do not change from run to run


def draw(record: dict, folder: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Draws what the record has cases for into files of the folder, and returns them."""
    written = []
    for dtype in types_of(record):
        cases = [case for case in record["cases"] if case["dtype"] == dtype]
        behind = "" if dtype == FLOAT32 else f"-{dtype}"
        written += _draw(cases, record["limits"], folder, formats, behind)
    return written


def _draw(
    cases: list[dict], limits: Sequence[dict], folder: Path, formats: Sequence[str], behind: str
) -> list[Path]:
    """Draws cases of one type; `behind` ends the names."""
    dtype = cases[0]["dtype"]
    chosen = {output: usual(cases, output, dtype) for output in ("logits", "labels")}
    charts: dict[str, tuple[Callable[[list[dict]], Figure], list[dict]]] = {
        **{f"latency-{output}": (_latency, chosen[output]) for output in chosen},
        "parts": (_parts, chosen["logits"] + chosen["labels"]),
        "roofline": (lambda shown: _roofline(shown, limits), cases),
        "pixels": (_pixels, _varied(cases, "height", "width")),
        "threads": (_threads, _varied(cases, "threads")),
    }
    written = []
    for name, (drawer, shown) in charts.items():
        if not shown:
            continue
        figure = drawer(shown)
        for suffix in formats:
            written.append(folder / f"{name}{behind}.{suffix}")
            save(figure, written[-1])
        plt.close(figure)
    return written


def save(figure: Figure, path: Path) -> None:
    """Writes a chart; the same one is the same file."""
    figure.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else {})


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """So many axes in two columns, or one if there is but one."""
    columns = min(count, 2)
    rows = math.ceil(count / columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(5.5 * columns, 3.5 * rows), layout="constrained", squeeze=False
    )
    for unused in axes.flat[count:]:
        unused.set_axis_off()
    return figure, list(axes.flat[:count])


def _single() -> tuple[Figure, Axes]:
    return plt.subplots(figsize=(9, 5), layout="constrained")


def _varied(cases: Sequence[dict], *fields: str) -> list[dict]:
    """The cases, to logits, that differ from another in these fields and in none else."""
    fixed = [f for f in ("model", "height", "width", "threads", "output") if f not in fields]
    groups: dict[tuple, list[dict]] = {}
    for case in cases:
        if case["output"] == "logits":
            groups.setdefault(tuple(case[f] for f in fixed), []).append(case)
    return [case for group in groups.values() if len(group) > 1 for case in group]


def _latency(cases: Sequence[dict]) -> Figure:
    figure, panels = _panels(len(cases))
    for axes, case in zip(panels, cases, strict=True):
        found = case["implementations"]
        for place, i in enumerate(found):
            median, least, most = (1e3 * i[key] for key in ("median_s", "min_s", "p95_s"))
            axes.barh(place, median, color="C0" if i["ours"] else "0.75")
            axes.hlines(place, least, most, color="black", linewidth=1)
            axes.text(most, place, f" {number(median)}", va="center", fontsize=8)
        axes.set_yticks(range(len(found)), [_label(i) for i in found], fontsize=8)
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.set_title(model_name(case))
    case = cases[0]
    figure.suptitle(
        f"Image {size_of(case)} to {case['output']}, {case['threads']} thread(s), {case['dtype']}"
    )
    figure.supxlabel("milliseconds: median; line from least to 95th percentile", fontsize=9)
    return figure


def _parts(cases: Sequence[dict]) -> Figure:
    figure, axes = _single()
    bottoms = [0.0] * len(cases)
    for part, color in zip(parts_of(cases), plt.colormaps["tab20"].colors, strict=False):
        shares = []
        for case in cases:
            medians = {k: statistics.median(v) for k, v in case["split"]["seconds"].items()}
            shares.append(100 * medians.get(part, 0.0) / sum(medians.values()))
        axes.bar(range(len(cases)), shares, bottom=bottoms, label=part, color=color)
        bottoms = [a + b for a, b in zip(bottoms, shares, strict=True)]
    ticks = [f"{model_name(c)}\nto {c['output']}" for c in cases]
    axes.set_xticks(range(len(cases)), ticks, fontsize=8)
    axes.set_ylabel("% of our time, op by op")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, reverse=True)
    return figure


def _roofline(cases: Sequence[dict], limits: Sequence[dict]) -> Figure:
    figure, axes = _single()
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
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ScalarFormatter())
        axis.set_minor_formatter(ScalarFormatter())
    axes.set_xlabel("multiply-adds a byte that blocks read and write")
    axes.set_ylabel("GMAC/s")
    axes.set_title(
        f"Roofline, {isa}, {threads} thread(s): {peak / 1e9:.0f} GMAC/s from registers, "
        f"{bandwidth / 1e9:.0f} GB/s copied"
    )
    axes.legend(fontsize=8)
    return figure


def _pixels(cases: Sequence[dict]) -> Figure:
    figure, axes = _single()
    for (model, name), found in _lines(cases).items():
        points = sorted((c["height"] * c["width"], i["median_s"]) for c, i in found)
        if len(points) > 1:
            sides = [math.sqrt(pixels) for pixels, _ in points]
            axes.plot(sides, [1e9 * s / p for p, s in points], "o-", label=f"{model}, {name}")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_ylim(bottom=0)
    axes.set_xlabel("side of a square of as many pixels")
    axes.set_ylabel("nanoseconds a pixel")
    axes.legend(fontsize=8)
    return figure


def _threads(cases: Sequence[dict]) -> Figure:
    lines = _lines(cases)
    models = list(dict.fromkeys(model for model, _ in lines))
    names = list(dict.fromkeys(name for _, name in lines))
    counts = sorted({case["threads"] for case in cases})
    figure, panels = _panels(len(models))
    for axes, model in zip(panels, models, strict=True):
        axes.plot(counts, counts, "--", color="grey", label="ideal")
        for place, name in enumerate(names):
            found = lines.get((model, name), ())
            points = sorted((c["threads"], i["median_s"]) for c, i in found)
            if len(points) > 1:
                fewest, slowest = points[0]
                speedups = [fewest * slowest / seconds for _, seconds in points]
                axes.plot([t for t, _ in points], speedups, "o-", label=name, color=f"C{place}")
        axes.set_xticks(counts)
        axes.set_title(model)
        axes.legend(fontsize=7)
    figure.supxlabel("threads", fontsize=9)
    figure.supylabel("times faster than the fewest threads", fontsize=9)
    return figure


def _lines(cases: Iterable[dict]) -> dict[tuple[str, str], list[tuple[dict, dict]]]:
    """By model and implementation, its cases."""
    lines: dict[tuple[str, str], list[tuple[dict, dict]]] = {}
    for case in cases:
        for i in case["implementations"]:
            lines.setdefault((model_name(case), _label(i)), []).append((case, i))
    return lines


def _label(implementation: dict) -> str:
    name = implementation["name"]
    return f"ours, {name}" if implementation["ours"] else name
