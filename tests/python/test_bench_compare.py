"""benchmarks/compare.py: what it calls slower, what not, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from seaformer_kernels.bench.record import SCHEMA

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import compare  # noqa: E402

sys.path.remove(str(BENCHMARKS))

ROUNDS = 25


def make_case(seed: int, ours: float = 1.0, machine: float = 1.0, noise: float = 0.03):
    """A case whose rounds drift together, 5% a round, and apart by `noise`."""
    random = np.random.default_rng(seed)
    drift = machine * np.exp(random.normal(0, 0.05, ROUNDS).cumsum())

    def rounds(seconds: float) -> list[float]:
        return list(seconds * drift * np.exp(random.normal(0, noise, ROUNDS)))

    return compare.Case(
        {"avx2": rounds(0.010 * ours), "stem": rounds(0.001)},
        {"eager": rounds(0.060), "onnxruntime": rounds(0.015), "ncnn": rounds(0.02)},
    )


def slower(old, new, tolerance=0.05):
    changes = compare.compare({"case": old}, {"case": new})
    assert {change.name for change in changes} == set(old.ours)
    return [change.name for change in changes if change.verdict(tolerance) == "slower"]


@pytest.mark.parametrize("seed", range(10))
def test_a_slowdown_of_15_percent_is_caught_on_a_machine_that_drifts(seed):
    assert slower(make_case(seed), make_case(100 + seed, ours=1.15, machine=0.8)) == ["avx2"]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("machine", [0.7, 1.0, 1.5])
def test_the_same_code_is_not_flagged(seed, machine):
    assert slower(make_case(seed), make_case(200 + seed, machine=machine)) == []


def test_a_change_within_what_peers_show_is_none():
    old, new = make_case(0), make_case(1, ours=1.15)
    new.peers["ncnn"][:] = [1.3 * x for x in new.peers["ncnn"]]
    assert slower(old, new) == []


def test_faster_is_no_regression():
    (change, _) = compare.compare({"c": make_case(0)}, {"c": make_case(1, ours=0.8)})
    assert change.verdict(0.05) == "faster"
    assert change.verdict(0.5) == "same"


def write_run(path: Path, case: compare.Case) -> Path:
    implementations = [
        {
            "name": name,
            "ours": name == "avx2",
            "convert_s": None,
            "load_s": 0.1,
            "first_call_s": 0.1,
            "extra_bytes": None,
            "calls_a_round": 1,
            "seconds": seconds,
            "median_s": 1.0,
            "p95_s": 1.0,
            "min_s": 1.0,
            "times_faster": {},
        }
        for name, seconds in [("avx2", case.ours["avx2"]), *case.peers.items()]
    ]
    suite_case = {
        "model": "seaformer_tiny",
        "height": 64,
        "width": 64,
        "threads": 1,
        "output": "logits",
        "implementations": implementations,
        "split": {"isa": "avx2", "seconds": {"stem": case.ours["stem"]}},
        "work": {},
        "failed": {},
    }
    empty = {"machine": {}, "conditions": {}, "versions": {}, "settings": {}, "absent": {}}
    lists = {"limits": [], "cases": [suite_case], "skipped": {}}
    path.write_text(json.dumps({"schema": SCHEMA, **empty, **lists}))
    return path


def write_pytest_run(path: Path, case: compare.Case) -> Path:
    held = {"times_faster_than_eager_quartiles": [1, 2, 3]}
    sides = [(case.ours, held), (case.peers, {})]
    entries = [
        {
            "fullname": f"bench_x.py::test_x[{name}-a]",
            "group": "a",
            "params": {"implementation": name},
            "extra_info": info,
            "stats": {"data": seconds},
        }
        for side, info in sides
        for name, seconds in side.items()
    ]
    path.write_text(json.dumps({"benchmarks": entries}))
    return path


def run(*arguments: object) -> tuple[int, str]:
    command = [sys.executable, str(BENCHMARKS / "compare.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.children
@pytest.mark.parametrize("write", [write_run, write_pytest_run])
def test_exit_codes(tmp_path, write):
    old = write(tmp_path / "old.json", make_case(0))
    same = write(tmp_path / "same.json", make_case(1))
    slow = write(tmp_path / "slow.json", make_case(2, ours=1.15))
    code, out = run(old, same)
    assert (code, out.splitlines()[-1].partition(":")[0]) == (0, "same")
    code, out = run(old, slow)
    assert code == 1
    assert out.startswith("slower: ") and "avx2: +1" in out.splitlines()[0]


@pytest.mark.children
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("{", "expected JSON"),
        ('{"schema": "other"}', f"expected a record of schema '{SCHEMA}', got 'other'"),
        (f'{{"schema": "{SCHEMA}"}}', "expected the field 'machine' in the record"),
        ('{"benchmarks": [{}]}', "got benchmarks without 'fullname'"),
        ('{"benchmarks": []}', "expected a case of ours beside the same peer in both"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, content, message):
    old, bad = write_run(tmp_path / "old.json", make_case(0)), tmp_path / "bad.json"
    if content is not None:
        bad.write_text(content)
    code, out = run(old, bad)
    assert code == 2
    assert message in out
    assert len(out.splitlines()) == 1
