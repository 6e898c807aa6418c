"""The Makefile: its help is complete, and workflows and .ci/run call targets that are there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
PHONY = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", MAKEFILE, re.M)[1]
TARGETS = set(PHONY.replace("\\", " ").split())


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_help_lists_every_target():
    done = subprocess.run(["make", "-C", ROOT, "help"], capture_output=True, text=True, check=True)
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines() if line[0] != "m"]
    assert {line[0] for line in lines} == TARGETS
    assert all(len(line) == 2 for line in lines)


def test_targets_without_a_file_are_phony():
    assert set(re.findall(r"^([a-z][a-z0-9-]*):(?!=)", MAKEFILE, re.M)) == TARGETS


@pytest.mark.parametrize("path", sorted(ROOT.glob(".github/workflows/*.yml")), ids=lambda p: p.name)
def test_workflows_call_targets_that_are_there(path):
    called = re.findall(r"\bmake ([a-z-]+)", path.read_text())
    assert called and set(called) <= TARGETS


def test_ci_runs_targets_that_are_there():
    script = (ROOT / ".ci/run").read_text()
    (queue,) = re.findall(r"^printf '%s\\n' (.+) >\$queue$", script, re.M)
    crosses = {name for name in TARGETS if name.startswith("cross-")}
    assert {"lint", "sanitize", "test-all", "test-arm", "docs"} | crosses == set(queue.split())
