"""Counts the instructions of other people's models on ARM: ours beside other runtimes, one thread.

    cmake --preset aarch64 && cmake --build --preset aarch64 && tests/arm/make_site.sh
    python benchmarks/arm/count_other_models.py [--model NAME] [--size 224] [--dtype float16]
                                                [--by ours] [--out FOLDER]

The models are those of benchmarks/other_models.py, each from an image to its logits. Ours is the
model file of export_native by the C++ core, and where a model has no whole graph, `optimize` op by
op in the guest's Python, as the other runtimes are. Writes bench-arm-other-models.json and .md.
Rows of the file that are not counted anew stay there, so that what changed can be counted alone.
What cannot be counted is named with the reason. Needs what bench_arm.py needs.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import bench_arm
import count
import count_layers
import count_model
import networks
import peer_models
import torch
from jobs import Job, Runner
from torch import nn

import seaformer_kernels as sk
from seaformer_kernels.bench import peers
from seaformer_kernels.bench.tables import FLOAT32, number, table

sys.path.append(str(Path(__file__).resolve().parents[1]))
import other_models

SOURCES = {name: model.source for name, model in other_models.MODELS.items()}
SIZES = (224,)
DTYPES = (FLOAT32, "float16")
OURS = "ours"
IMPLEMENTATIONS = (OURS, *peer_models.WHEELS)
OUTPUT = "logits"
FILE = "bench-arm-other-models.json"
PROGRAM = count_layers.BUILD / "bench_network"
FORMS = {"whole": "whole graph", "ours": "op by op"}

Case = tuple[str, int, str, str]  # name of a model, side of the image, dtype, implementation


def case_name(case: Case) -> str:
    """What the report calls a count."""
    model, side, dtype, implementation = case
    return f"{model} {side} in {dtype} by {implementation}"


def _row(case: Case, form: str, window: dict) -> dict:
    model, side, dtype, implementation = case
    macs = networks.multiply_adds(SOURCES[model], side)
    return {
        "model": model,
        "side": side,
        "dtype": dtype,
        "implementation": implementation,
        "form": form,
        "ideal_fmas": macs // count_model.lanes(dtype),
        "counts": {key: value for key, value in window.items() if key != "window"},
    }


def count_native(case: Case, file: Path, cpu: str) -> list[dict]:
    """The row of our model file by the C++ core."""
    (window,) = count.count(PROGRAM, [str(file), "best", str(case[1]), "count"], cpu)
    return [_row(case, "whole", window)]


def count_in_guest(cases: Sequence[Case], cpu: str, absent: dict[str, str]) -> list[dict]:
    """The rows of cases of one implementation, in one process of the guest, slow to start.

    If it fails, each model has a process of its own, and those that fail alone go to `absent`.
    """
    models = list(dict.fromkeys(case[:2] for case in cases))
    of_model = [[case for case in cases if case[:2] == model] for model in models]
    implementation = cases[0][3]
    arguments = []
    for (model, side), own in zip(models, of_model, strict=True):
        arguments += [SOURCES[model], str(side)]
        arguments += [f"{implementation}:{OUTPUT}:{dtype}" for _, _, dtype, _ in own]
    environment = peer_models.environment([implementation])
    try:
        windows = count_model.count_guest(arguments, cpu, environment=environment)
    except count.CountError as error:
        if len(models) > 1:
            return [row for own in of_model for row in count_in_guest(own, cpu, absent)]
        absent |= {case_name(case): count.reason(error) for case in cases}
        return []
    return [
        _row(case, implementation, window) for case, (_, window) in zip(cases, windows, strict=True)
    ]


def refusal(implementation: str, model: str, side: int) -> str:
    """Why a runtime takes no such model, or nothing; it has what it reads then."""
    try:
        peer_models.install(implementation)
        peer_models.convert(implementation, SOURCES[model], side, OUTPUT)
    except Exception as error:  # converters of others can fail in any way
        return f"it does not convert: {count.reason(error) if str(error) else type(error).__name__}"
    return ""


@functools.lru_cache(maxsize=1)
def _plain(model: str) -> nn.Module:
    return networks.plain(SOURCES[model], OUTPUT)


def export(case: Case, folder: Path) -> Path | None:
    """Our model file of a case; none if the model is not wholly steps of a plan."""
    model, _, dtype, _ = case
    file = folder / "-".join(map(str, case))
    mean, std = sk.data.IMAGENET_MEAN, sk.data.IMAGENET_STD
    try:
        sk.export_native(_plain(model), file, mean, std, dtype=getattr(torch, dtype))
    except ValueError:
        return None
    return file


def count_all(cases: Sequence[Case], cpu: str, folder: Path) -> tuple[list[dict], dict[str, str]]:
    """Rows of the cases, and by name why others have none; files are written to a folder."""
    absent: dict[str, str] = {}
    jobs: list[Job] = []
    in_guest: dict[str, list[Case]] = {}
    for case in cases:
        model, side, dtype, implementation = case
        name = case_name(case)
        if implementation == OURS:
            file = export(case, folder)
            if file:
                jobs.append(Job(name, name, 1, lambda c=case, f=file: count_native(c, f, cpu)))
                continue
        elif dtype != FLOAT32 and peers.PEERS[implementation].only_float32:
            continue
        elif why := refusal(implementation, model, side):
            absent[name] = why
            continue
        in_guest.setdefault(implementation, []).append(case)
    for implementation, own in in_guest.items():
        name = f"{len(own)} cases by {implementation}"
        jobs.append(Job(name, name, 1, lambda own=own: count_in_guest(own, cpu, absent)))
    return Runner(math.inf, absent).run(jobs), absent


def count_table(rows: Sequence[dict]) -> str:
    """M instructions of each model by all, and how many times ours the best of the others takes."""
    found: dict[tuple[int, str, str], dict[str, dict]] = {}
    for row in rows:
        key = row["side"], row["dtype"], row["model"]
        found.setdefault(key, {})[row["implementation"]] = row
    lines = []
    for side, dtype, model in sorted(
        found, key=lambda key: (key[0], DTYPES.index(key[1]), [*SOURCES].index(key[2]))
    ):
        by = found[side, dtype, model]
        total = {name: row["counts"]["total"] for name, row in by.items()}
        others = [total[name] for name in peer_models.WHEELS if name in total]
        lines.append(
            [
                *(model, str(side), dtype),
                FORMS[by[OURS]["form"]] if OURS in by else "",
                *(number(total[n] / 1e6) if n in total else "" for n in IMPLEMENTATIONS),
                bench_arm.an_ideal_fma(by[OURS]) if OURS in by else "",
                f"{min(others) / total[OURS]:.2f}" if others and OURS in by else "",
            ]
        )
    columns = [*(f"{name}, M" for name in IMPLEMENTATIONS), "ours an ideal FMA"]
    return table(["model", "image", "in", "form", *columns, "best of the others / ours"], lines)


def report(record: dict) -> str:
    """The record as Markdown."""
    absent = record["absent"]
    reasons = dict.fromkeys(absent.values())
    parts = [count_table(record["networks"])]
    for reason in reasons:
        cases = ", ".join(case for case, why in absent.items() if why == reason)
        parts.append(f"Not there: {cases} ({reason}).")
    return "\n\n".join(parts) + "\n"


def updated(record: dict, rows: Sequence[dict], absent: dict[str, str]) -> dict:
    """The record with these rows and reasons in place of those of the same cases."""
    old = {row_case(row): row for row in record["networks"]}
    new = {row_case(row): row for row in rows}
    gone = {case for case in old if case_name(case) in absent}
    counted = {case_name(case) for case in new}
    kept = {case: why for case, why in record["absent"].items() if case not in counted}
    networks_now = {case: row for case, row in (old | new).items() if case not in gone}
    return record | {"networks": [*networks_now.values()], "absent": kept | absent}


def row_case(row: dict) -> Case:
    """What a row counts."""
    return row["model"], row["side"], row["dtype"], row["implementation"]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", action="append", choices=[*SOURCES], help="may be repeated")
    parser.add_argument("--size", action="append", type=int, help="likewise (default: 224)")
    parser.add_argument("--dtype", action="append", choices=DTYPES, help="likewise")
    parser.add_argument("--by", action="append", choices=IMPLEMENTATIONS, help="likewise")
    parser.add_argument("--cpu", default="cortex-a76", help="a name of `qemu-aarch64 -cpu help`")
    parser.add_argument("--out", type=Path, default=Path("bench-output"), help="folder of results")
    options = parser.parse_args()
    count_model.build_markers()
    count.build_plugin(count.COUNT)
    file = options.out / FILE
    record: dict = {"cpu": options.cpu, "networks": [], "absent": {}}
    if file.exists():
        record = json.loads(file.read_text())
        if record["cpu"] != options.cpu:
            parser.error(f"{file} holds counts of {record['cpu']}: name another folder by --out")
    options.out.mkdir(parents=True, exist_ok=True)
    cases = itertools.product(
        options.model or SOURCES,
        options.size or SIZES,
        options.dtype or DTYPES,
        options.by or IMPLEMENTATIONS,
    )
    with tempfile.TemporaryDirectory() as folder:
        record = updated(record, *count_all([*cases], options.cpu, Path(folder)))
    file.write_text(json.dumps(record, indent=1) + "\n")
    file.with_suffix(".md").write_text(report(record))
    print(report(record), end="")
    return 0 if record["networks"] else 2


if __name__ == "__main__":
    sys.exit(main())
