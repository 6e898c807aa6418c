"""Changed checkpoint files, read in a process of their own, so that a crash is seen."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

FUZZER = Path(__file__).resolve().parents[1] / "fuzz" / "fuzz_checkpoints.py"


def run(count: int, first: int = 0) -> str:
    command = [sys.executable, "-W", "ignore", FUZZER, str(count), "--first", str(first)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.children
def test_changed_files_run_nothing_and_crash_nothing():
    found = run(500)
    assert found.startswith("500 files: ") and found.endswith("; nothing ran\n")
    # Both outcomes are common, or the changes are too wild or too tame to find anything.
    assert all(int(number) > 25 for number in re.findall(r"(\d+) (?:loaded|refused)\b", found))


@pytest.mark.slow
@pytest.mark.children
def test_ten_thousand():
    assert run(10_000, first=500).startswith("10000 files: ")
