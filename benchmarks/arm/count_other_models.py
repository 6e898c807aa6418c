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


def count_in_guest(cases: Sequence[Case], cpu: str) -> list[dict]:
    """The rows of a model by one implementation in several types, in one process of the guest."""
    model, side, _, implementation = cases[0]
    runs = [f"{implementation}:{OUTPUT}:{dtype}" for _, _, dtype, _ in cases]
    environment = peer_models.environment([implementation])
    windows = count_model.count_runs(SOURCES[model], runs, cpu, environment=environment, side=side)
    return [_row(case, implementation, windows[run]) for case, run in zip(cases, runs, strict=True)]


def jobs_of(cases: Sequence[Case], cpu: str, folder: Path, absent: dict[str, str]) -> list[Job]:
    """The work on a model by one implementation, which reads what is written here.

    Args:
        cases: differ in their types alone.
        folder: for our model files.
        absent: gets the reason, by the name of each case, if the implementation refuses the model.
    """
    model, side, _, implementation = cases[0]
    guest = Job(
        f"{model} {side} by {implementation}",
        f"{model} {side} by {implementation}",
        1,
        lambda: count_in_guest(cases, cpu),
    )
    if implementation == OURS:
        files = {case: folder / "-".join(map(str, case)) for case in cases}
        try:
            plain = networks.plain(SOURCES[model], OUTPUT)
            for case, file in files.items():
                mean, std = sk.data.IMAGENET_MEAN, sk.data.IMAGENET_STD
                sk.export_native(plain, file, mean, std, dtype=getattr(torch, case[2]))
        except ValueError:  # it is not wholly steps of a plan
            return [guest]
        return [
            Job(case_name(case), case_name(case), 1, lambda c=case, f=file: count_native(c, f, cpu))
            for case, file in files.items()
        ]
    try:
        peer_models.install(implementation)
        peer_models.convert(implementation, SOURCES[model], side, OUTPUT)
    except Exception as error:  # converters of others can fail in any way
        why = f"it does not convert: {count.reason(error) or type(error).__name__}"
        absent |= {case_name(case): why for case in cases}
        return []
    return [guest]


def count_model_by_all(
    model: str, side: int, dtypes: Sequence[str], by: Sequence[str], cpu: str
) -> tuple[list[dict], dict[str, str]]:
    """Rows of a model at a size, and by the name of a case why it has none."""
    absent: dict[str, str] = {}
    jobs, cases = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name in by:
            narrow = name in peers.PEERS and peers.PEERS[name].only_float32
            types = [dtype for dtype in dtypes if dtype == FLOAT32 or not narrow]
            own = [(model, side, dtype, name) for dtype in types]
            jobs += jobs_of(own, cpu, Path(folder), absent) if own else []
            cases += own
        failed: dict[str, str] = {}
        rows = Runner(math.inf, failed).run(jobs)
    counted = {(model, side, row["dtype"], row["implementation"]) for row in rows}
    for case in cases:
        if case not in counted:
            why = failed.get(case_name(case)) or failed.get(f"{model} {side} by {case[3]}", "")
            absent.setdefault(case_name(case), why)
    return rows, absent


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
    dtypes, by = options.dtype or DTYPES, options.by or IMPLEMENTATIONS
    for side in options.size or SIZES:
        for model in options.model or SOURCES:
            found = count_model_by_all(model, side, dtypes, by, options.cpu)
            record = updated(record, *found)
            file.write_text(json.dumps(record, indent=1) + "\n")
            file.with_suffix(".md").write_text(report(record))
    print(report(record), end="")
    return 0 if record["networks"] else 2


if __name__ == "__main__":
    sys.exit(main())
