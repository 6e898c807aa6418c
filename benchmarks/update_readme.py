"""Puts what the suites found into the README and docs: tables between markers, and charts.

    seaformer bench && make bench-arm
    python benchmarks/update_readme.py [FOLDER]

FOLDER, bench-output unless given, holds bench.json and bench-arm.json; what is missing is left as
it is. A marked block begins with a comment `<!-- bench: NAME -->` and ends with `<!-- end -->`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from seaformer_kernels.bench import charts, machine, record, tables

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
PAGES = (ROOT / "README.md", ROOT / "docs" / "arm.md")
sys.path.insert(0, str(ROOT / "benchmarks" / "arm"))
import bench_arm  # noqa: E402

Blocks = dict[str, str]


def suite_blocks(found: dict) -> Blocks:
    """Blocks of what `seaformer bench` wrote."""
    record.check(found)
    facts = machine.text(found["machine"] | found["conditions"]).splitlines()
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return {
        "machine": "\n".join(f"- {line}" for line in [*facts, versions]),
        "networks": "\n\n".join(tables.summaries(found)),
    }


def arm_blocks(found: dict) -> Blocks:
    """Blocks of what `make bench-arm` wrote."""
    return {
        "arm-networks": bench_arm.network_table(found["networks"]),
        "arm-kernels": bench_arm.kernel_table(found["kernels"]),
        "arm-parts": bench_arm.part_table(found["parts"]),
    }


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
    if suite.is_file():
        found = json.loads(suite.read_text())
        blocks |= suite_blocks(found)
        charts.draw(found, IMAGES, formats=["svg"])
    if arm.is_file():
        found = json.loads(arm.read_text())
        blocks |= arm_blocks(found)
        bench_arm.draw(found["networks"], IMAGES / "arm.svg")
    for page in PAGES:
        page.write_text(replaced(page.read_text(), blocks))
    return 0


if __name__ == "__main__":
    sys.exit(main())
