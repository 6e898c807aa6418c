"""Files that a program of ours wrote are what it writes today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


# What they wrote is named as they are, and after the element type that they were given, if any.
GENERATED = [
    (generator, path.stem.removeprefix(generator.stem).split("_")[1:], path)
    for generator in sorted(ROOT.glob("csrc/kernels/*/*_tiles.py"))
    for path in sorted(generator.parent.glob(f"{generator.stem}*.inc"))
]


@pytest.mark.parametrize(
    ("generator", "element", "generated"), GENERATED, ids=lambda x: getattr(x, "name", "")
)
def test_generated_file_is_up_to_date(generator, element, generated):
    written = subprocess.run(
        [sys.executable, generator, *element], capture_output=True, text=True, check=True
    ).stdout
    assert generated.read_text() == written, (
        f"run python {generator} {' '.join(element)} > {generated}"
    )


def test_there_are_generators():
    assert len(GENERATED) >= 6
