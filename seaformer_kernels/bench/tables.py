"""The record as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from seaformer_kernels.bench import machine
from seaformer_kernels.bench.rounds import quartiles

WHOLE_GRAPH = "whole graph"  # behind the instruction set: ours as one op
FLOAT32 = "float32"  # the type that is meant where none is named
PARTS_ORDER = ("stem", "stage", "attention", "mlp", "head", "other blocks", "between blocks")


def number(x: float) -> str:
    """Three digits, or the whole number."""
    return f"{x:.0f}" if abs(x) >= 100 else f"{x:.3g}"


def spread(values: Sequence[float]) -> str:
    """The median and the quartiles."""
    low, median, high = map(number, quartiles(values))
    return f"{median} [{low}, {high}]"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, its columns aligned for those who read it as text."""
    rows = [[cell.replace("|", "\\|") for cell in row] for row in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(map(str.ljust, row, widths))} |" for row in rows)


def report(record: dict) -> str:
    """All of a record, as a Markdown document."""
    facts = record["machine"] | record["conditions"]
    parts = [
        "# Benchmark",
        "\n".join(f"- {line}" for line in machine.text(facts).splitlines()),
        "Versions: " + ", ".join(f"{name} {v}" for name, v in record["versions"].items()) + ".",
    ]
    for name, reason in record["absent"].items():
        parts.append(f"`{name}` is absent ({reason}).")
    parts += not_in_type(record["cases"])
    parts += [f"Not measured: {case} ({why})." for case, why in record["skipped"].items()]
    parts.append("## In short")
    for dtype in types_of(record):
        parts += summaries(record, dtype)
    for (threads, output, dtype), cases in _groups(record["cases"]).items():
        title = f"## Image to {output} in {dtype}, {in_words(threads)}"
        parts += [title, _latency(cases), _details(cases)]
        parts += [
            f"`{name}` failed on {_title(case)}: {reason}."
            for case in cases
            for name, reason in case["failed"].items()
        ]
    parts += [
        "Milliseconds: median [quartiles] over the rounds. Times faster: a peer's time over ours "
        "in the same round.",
        "## Where our time goes",
        split_table(record["cases"]),
        "## Limits of the machine",
        _limits(record["limits"]),
    ]
    return "\n\n".join(parts) + "\n"


def types_of(record: dict) -> list[str]:
    """The element types of its cases."""
    return list(dict.fromkeys(case["dtype"] for case in record["cases"]))


def not_in_type(cases: Sequence[dict]) -> list[str]:
    """A sentence for each peer that has no result in a type."""
    found = {
        (name, case["dtype"]): reason
        for case in cases
        for name, reason in case["not_in_type"].items()
    }
    return [f"`{name}` is absent in {dtype} ({why})." for (name, dtype), why in found.items()]


def usual(cases: Sequence[dict], output: str, dtype: str = FLOAT32) -> list[dict]:
    """The cases of an output on the fewest threads, at the size that most of them have."""
    cases = [case for case in cases if (case["output"], case["dtype"]) == (output, dtype)]
    if not cases:
        return []
    threads = min(case["threads"] for case in cases)
    size = statistics.mode((case["height"], case["width"]) for case in cases)
    return [c for c in cases if c["threads"] == threads and (c["height"], c["width"]) == size]


def summaries(record: dict, dtype: str = FLOAT32) -> list[str]:
    """For each output a table of the usual cases: ours on the widest instruction set, and peers."""
    chosen = {output: usual(record["cases"], output, dtype) for output in ("logits", "labels")}
    return [_summary(output, cases) for output, cases in chosen.items() if cases]


def _summary(output: str, cases: Sequence[dict]) -> str:
    """Median milliseconds; behind those of a peer, how many times faster our whole graph was."""
    first = cases[0]
    isa = first["split"]["isa"]
    peers = _peers(cases)
    title = f"{size_of(first)} to {output}, {isa}, {in_words(first['threads'])}, {first['dtype']}"
    rows = []
    for case in cases:
        by_name = {i["name"]: i for i in case["implementations"]}
        whole, single = by_name[f"{isa} {WHOLE_GRAPH}"], by_name[isa]
        row = [model_name(case), *(number(1e3 * own["median_s"]) for own in (whole, single))]
        for peer in peers:
            if peer in by_name:
                median = number(1e3 * by_name[peer]["median_s"])
                row.append(f"{median}: {number(whole['times_faster'][peer][1])}")
            else:
                row.append("")
        rows.append(row)
    return table([title, "whole graph", "op by op", *peers], rows)


def parts_of(cases: Iterable[dict]) -> list[str]:
    """The parts that any case was split into, from the image to the output."""
    found = dict.fromkeys(part for case in cases for part in case["split"]["seconds"])

    def place(part: str) -> tuple[int, str]:
        return next(i for i, start in enumerate(PARTS_ORDER) if part.startswith(start)), part

    return sorted(found, key=place)


def split_table(cases: Sequence[dict]) -> str:
    """Median milliseconds of each part of ours."""
    parts = parts_of(cases)
    rows = []
    for case in cases:
        seconds = case["split"]["seconds"]
        medians = [
            number(1e3 * statistics.median(seconds[p])) if p in seconds else "" for p in parts
        ]
        facts = [case["output"], case["dtype"], str(case["threads"])]
        rows.append([_title(case), *facts, *medians])
    return table(["model, size", "to", "in", "threads", *(f"{p}, ms" for p in parts)], rows)


def _groups(cases: Sequence[dict]) -> dict[tuple[int, str, str], list[dict]]:
    groups: dict[tuple[int, str, str], list[dict]] = {}
    for case in cases:
        groups.setdefault((case["threads"], case["output"], case["dtype"]), []).append(case)
    return groups


def in_words(threads: int) -> str:
    """A number of threads."""
    return f"{threads} thread{'s' if threads > 1 else ''}"


def _peers(cases: Sequence[dict]) -> dict[str, None]:
    return dict.fromkeys(i["name"] for c in cases for i in c["implementations"] if not i["ours"])


def model_name(case: dict) -> str:
    """Without what is the same for all models."""
    return case["model"].removeprefix("seaformer_")


def size_of(case: dict) -> str:
    """Width and height of the image."""
    return f"{case['width']}x{case['height']}"


def _title(case: dict) -> str:
    return f"{model_name(case)} {size_of(case)}"


def _latency(cases: Sequence[dict]) -> str:
    """A row for each of ours, beside all peers of the group."""
    peers = _peers(cases)
    columns = ["model, size", "ours on", "ours, ms", *peers, *(f"faster than {p}" for p in peers)]
    rows = []
    for case in cases:
        by_name = {i["name"]: i for i in case["implementations"]}
        for own in (i for i in by_name.values() if i["ours"]):
            times = [_milliseconds(by_name.get(peer)) for peer in peers]
            faster = [_faster(own["times_faster"].get(peer)) for peer in peers]
            rows.append([_title(case), own["name"], _milliseconds(own), *times, *faster])
    return table(columns, rows)


def _details(cases: Sequence[dict]) -> str:
    """A row for each implementation: all that is not in the first table."""
    columns = ["model, size", "implementation", "median, ms", "p95, ms", "least, ms"]
    columns += ["convert, s", "load, s", "first call, ms", "memory of a call, MB"]
    columns += ["weights, MB", "arena, MB", "rounds"]
    rows = [
        [
            _title(case),
            f"ours, {i['name']}" if i["ours"] else i["name"],
            *(number(1e3 * i[key]) for key in ("median_s", "p95_s", "min_s")),
            "" if i["convert_s"] is None else number(i["convert_s"]),
            number(i["load_s"]),
            number(1e3 * i["first_call_s"]),
            "?" if i["extra_bytes"] is None else number(i["extra_bytes"] / 2**20),
            *(
                "" if i[k] is None else number(i[k] / 2**20)
                for k in ("weights_bytes", "arena_bytes")
            ),
            str(len(i["seconds"])),
        ]
        for case in cases
        for i in case["implementations"]
    ]
    return table(columns, rows)


def _limits(limits: Sequence[dict]) -> str:
    rows = [
        [
            limit["isa"],
            str(limit["threads"]),
            number(limit["macs_per_s"] / 1e9),
            number(limit["copy_bytes_per_s"] / 1e9),
        ]
        for limit in limits
    ]
    return table(["instruction set", "threads", "GMAC/s from registers", "GB/s copied"], rows)


def _milliseconds(implementation: dict | None) -> str:
    if implementation is None:
        return ""
    return spread([1e3 * x for x in implementation["seconds"]])


def _faster(ratio: Sequence[float] | None) -> str:
    if ratio is None:
        return ""
    low, median, high = map(number, ratio)
    return f"{median} [{low}, {high}]"
