"""Files that a program of ours wrote are what it writes today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("stem", ["csrc/kernels/pointwise/neon_tiles"])
def test_generated_file_is_up_to_date(stem):
    written = subprocess.run(
        [sys.executable, ROOT / f"{stem}.py"], capture_output=True, text=True, check=True
    ).stdout
    assert (ROOT / f"{stem}.inc").read_text() == written, f"run python {stem}.py > {stem}.inc"
