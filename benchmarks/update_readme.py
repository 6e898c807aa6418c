"""Puts what the suites found into README.md and docs/results: tables between markers, and charts.

    seaformer bench && make bench-arm
    python benchmarks/update_readme.py [FOLDER]

FOLDER, bench-output unless given, holds bench.json and bench-arm.json; what is missing is left as
it is. A marked block begins with a comment `<!-- bench: NAME -->` and ends with `<!-- end -->`.
Both suites write rows of the README's block, `front`; those of the other stay.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import seaformer_kernels as sk
from seaformer_kernels.bench import charts, machine, record, tables

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
RESULTS = ROOT / "docs" / "results"
PAGES = (ROOT / "README.md", RESULTS / "x86.md", RESULTS / "arm.md")
sys.path.insert(0, str(ROOT / "benchmarks" / "arm"))
import bench_arm  # noqa: E402

Blocks = dict[str, str]
Rows = dict[str, list[str]]  # the cells behind a row's name

MODELS = [tables.model_name({"model": name}) for name in sk.list_models()]


def suite_blocks(found: dict) -> Blocks:
    """Blocks of what `seaformer bench` wrote."""
    record.check(found)
    facts = machine.text(found["machine"] | found["conditions"]).splitlines()
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    whole = {dtype: tables.summaries(found, dtype) for dtype in tables.types_of(found)}
    usual = whole.pop(tables.FLOAT32, [])
    halves = [text for texts in whole.values() for text in texts]
    blocks = {
        "machine": ["\n".join(f"- {line}" for line in [*facts, versions])] if usual else [],
        "networks": usual,
        "networks-half": halves + tables.not_in_type(found["cases"]) if halves else [],
    }
    return {name: "\n\n".join(texts) for name, texts in blocks.items() if texts}


def arm_blocks(found: dict) -> Blocks:
    """Blocks of what `make bench-arm` wrote."""
    blocks: Blocks = {}
    if not found["counts_only"]:
        blocks = {
            "arm-networks": bench_arm.network_table(found["networks"]),
            "arm-kernels": bench_arm.kernel_table(found["kernels"]),
            "arm-parts": bench_arm.part_table(found["parts"]),
        }
    if len({row["dtype"] for row in found["networks"]}) > 1:
        blocks["arm-types"] = bench_arm.type_table(found["networks"])
    return blocks


def suite_rows(found: dict) -> Rows:
    """Rows of `front` from what `seaformer bench` wrote: median milliseconds."""
    times: dict[str, dict[str, float]] = {}
    for output in ("logits", "labels"):
        for case in tables.usual(found["cases"], output):
            isa = case["split"]["isa"]
            names = {f"{isa} {tables.WHOLE_GRAPH}": "whole graph", isa: "op by op"}
            by_name = {i["name"]: 1e3 * i["median_s"] for i in case["implementations"]}
            peers = {i["name"] for i in case["implementations"] if not i["ours"]}
            for who, value in _in_short(by_name, names, peers - {"eager_channels_last"}).items():
                times.setdefault(f"ms to {output}, {who}", {})[tables.model_name(case)] = value
    return _rows(times, tables.number)


def arm_rows(found: dict) -> Rows:
    """Rows of `front` from what `make bench-arm` wrote: instructions an ideal FMA, to logits."""
    counts: dict[str, dict[str, float]] = {}
    for model in MODELS:
        by_name = {
            row["implementation"]: row["counts"]["total"] / row["ideal_fmas"]
            for row in found["networks"]
            if tables.model_name(row) == model
            and (row["output"], row["dtype"]) == ("logits", tables.FLOAT32)
        }
        names = {"whole": "whole graph", "ours": "op by op"}
        peers = {name for name in by_name if name not in names and not name.startswith("ours")}
        for who, value in _in_short(by_name, names, peers).items():
            counts.setdefault(f"ARM instructions an ideal FMA, {who}", {})[model] = value
    return _rows(counts, "{:.2f}".format)


def _in_short(by_name: dict[str, float], ours: dict[str, str], peers: set[str]) -> dict[str, float]:
    """Ours, the best of the peers but eager PyTorch, and that."""
    short = {words: by_name[name] for name, words in ours.items() if name in by_name}
    others = [by_name[name] for name in peers - {"eager"}]
    short |= {"best other runtime": min(others)} if others else {}
    return short | ({"eager PyTorch": by_name["eager"]} if "eager" in peers else {})


def _rows(found: dict[str, dict[str, float]], text: Callable[[float], str]) -> Rows:
    return {
        name: [text(values[model]) if model in values else "" for model in MODELS]
        for name, values in found.items()
    }


def with_rows(page: str, rows: Rows) -> str:
    """The page with these rows of its block `front` replaced, or added."""
    block = re.search(r"<!-- bench: front -->\n(.*?)<!-- end -->", page, flags=re.S)
    if block is None:
        return page
    lines = [line for line in block[1].splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    rows = {name: values for name, *values in cells} | rows
    text = tables.table(["", *MODELS], [[name, *values] for name, values in rows.items()])
    return replaced(page, {"front": text})


def replaced(page: str, blocks: Blocks) -> str:
    """The page with its marked blocks of these names replaced."""
    for name, text in blocks.items():
        pattern = rf"(<!-- bench: {name} -->\n).*?(<!-- end -->)"
        page = re.sub(pattern, lambda m, text=text: f"{m[1]}\n{text}\n\n{m[2]}", page, flags=re.S)
    return page


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path("bench-output"))
    folder = parser.parse_args().folder
    suite, arm = folder / "bench.json", folder / "bench-arm.json"
    if not suite.is_file() and not arm.is_file():
        print(f"update_readme.py: {folder}: expected bench.json or bench-arm.json", file=sys.stderr)
        return 2
    IMAGES.mkdir(exist_ok=True)
    blocks: Blocks = {}
    rows: Rows = {}
    if suite.is_file():
        found = json.loads(suite.read_text())
        blocks |= suite_blocks(found)
        rows |= suite_rows(found)
        wide = [case for case in found["cases"] if case["dtype"] == tables.FLOAT32]
        charts.draw(found | {"cases": wide}, IMAGES, formats=["svg"])
    if arm.is_file():
        found = json.loads(arm.read_text())
        blocks |= arm_blocks(found)
        if not found["counts_only"]:
            rows |= arm_rows(found)
            bench_arm.draw(found["networks"], IMAGES / "arm.svg")
    for page in PAGES:
        page.write_text(with_rows(replaced(page.read_text(), blocks), rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
