"""Files that a program of ours wrote are what it writes today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


GENERATORS = sorted(ROOT.glob("csrc/kernels/*/*_tiles.py"))


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda path: str(path.relative_to(ROOT)))
def test_generated_file_is_up_to_date(generator):
    written = subprocess.run(
        [sys.executable, generator], capture_output=True, text=True, check=True
    ).stdout
    generated = generator.with_suffix(".inc")
    assert generated.read_text() == written, f"run python {generator} > {generated}"


def test_there_are_generators():
    assert len(GENERATORS) >= 4
