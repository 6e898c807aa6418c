"""benchmarks/: what it measures with, and a short run of the suite."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import seaformer_kernels as sk

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"


def load(path: Path, name: str):
    """The module at `path`, with its folder importable while it loads."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


machine = load(BENCHMARKS / "machine.py", "machine")
measuring = load(BENCHMARKS / "conftest.py", "benchmarks_conftest")
arm = load(BENCHMARKS / "arm" / "bench_upsample_argmax.py", "arm_bench_upsample_argmax")


class FakeTime:
    """A clock, and functions that take a stated time of it."""

    def __init__(self):
        self.now = 0.0
        self.log = []

    def __call__(self):
        return self.now

    def function(self, name, *seconds):
        """Takes these seconds, call by call, the last for ever."""
        times = list(seconds)

        def call():
            self.log.append(name)
            self.now += times.pop(0) if len(times) > 1 else times[0]

        return call


def test_interleave_calls_all_in_every_round():
    clock = FakeTime()
    functions = {"a": clock.function("a", 1.0), "b": clock.function("b", 2.0)}
    seconds, calls = measuring.interleave(functions, budget=8.5, min_rounds=1, clock=clock)
    assert calls == {"a": 1, "b": 1}
    assert seconds == {"a": [1.0] * 3, "b": [2.0] * 3}
    assert clock.log == ["a", "a", "b", "b", *["a", "b"] * 3]


def test_interleave_makes_the_least_number_of_rounds():
    clock = FakeTime()
    seconds, _ = measuring.interleave(
        {"a": clock.function("a", 1.0)}, budget=0.0, min_rounds=4, clock=clock
    )
    assert seconds == {"a": [1.0] * 4}


def test_interleave_repeats_fast_calls_and_ignores_a_slow_first_one():
    clock = FakeTime()
    fast = clock.function("fast", 1.0, measuring.SECONDS_A_ROUND / 8)
    functions = {"fast": fast, "slow": clock.function("slow", 1.0)}
    seconds, calls = measuring.interleave(functions, budget=0.0, min_rounds=2, clock=clock)
    assert calls == {"fast": 8, "slow": 1}
    assert seconds["fast"] == pytest.approx([measuring.SECONDS_A_ROUND / 8] * 2)
    assert clock.log[4:] == [*["fast"] * 8, "slow"] * 2


def test_ratios_are_of_the_same_round():
    result = measuring.Result(
        labels={"case": "x"},
        seconds={"ours": [1e-3, 2e-3, 4e-3], "peer": [3e-3, 6e-3, 12e-3]},
        calls={"ours": 1, "peer": 1},
        peers=["peer"],
    )
    assert result.ratios("ours", "peer") == pytest.approx([3.0] * 3)
    columns, rows = measuring.summary(result)
    assert columns == ("case", "rounds", "ours", "ours, ms", "peer, ms", "peer / ours")
    assert rows == [["x", "3", "ours", "2 [1.5, 3]", "6 [4.5, 9]", "3 [3, 3]"]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([2.0], (2.0, 2.0, 2.0)),
        ([1.0, 2.0], (1.25, 1.5, 1.75)),
        ([5.0, 1.0, 4.0, 2.0, 3.0], (2.0, 3.0, 4.0)),
    ],
)
def test_quartiles(values, expected):
    assert measuring.quartiles(values) == expected


@pytest.mark.parametrize("with_rich", [True, False])
def test_table_holds_every_row_in_one_line(monkeypatch, with_rich):
    if with_rich:
        pytest.importorskip("rich")
    else:
        monkeypatch.setitem(sys.modules, "rich", None)
    rows = [["1" * 90, "2 [1, 3]"], ["4", "5 [4, 6]"]]
    lines = measuring.table(("a long heading", "b"), rows).splitlines()
    assert lines[0].split() == ["a", "long", "heading", "b"]
    assert [line.split() for line in lines[-2:]] == [[a, *b.split()] for a, b in rows]


def test_machine_record_has_its_fields():
    record = machine.describe()
    assert set(record) == {
        "cpu",
        "processors",
        "usable_cores",
        "isas",
        "governor",
        "pinning",
        "seaformer_kernels",
        "torch",
        "torch_threads",
    }
    assert record["cpu"]
    assert 1 <= record["usable_cores"] <= record["processors"]
    assert record["isas"] == sk.cpu.supported_isas()
    assert set(machine.conditions()) == {"date", "load_average"}
    json.dumps(record | machine.conditions())
    assert f"torch: {torch.__version__}" in machine.text(record).splitlines()


def test_pinned_holds_all_threads_and_gives_them_back():
    def affinities():
        if not hasattr(os, "sched_getaffinity"):
            return set()
        threads = [int(thread) for thread in os.listdir("/proc/self/task")]
        return {frozenset(os.sched_getaffinity(thread)) for thread in threads}

    torch.rand(1 << 16).exp()  # starts torch's threads
    before = torch.get_num_threads(), affinities()
    with machine.pinned(1):
        assert torch.get_num_threads() == 1
        if machine.describe()["pinning"]:
            assert affinities() == {frozenset(machine.cores()[:1])}
    assert (torch.get_num_threads(), affinities()) == before


def test_pinned_refuses_more_threads_than_cores():
    too_many = len(machine.cores()) + 1
    with (
        pytest.raises(ValueError, match=f"each of {too_many} threads, got {too_many - 1}"),
        machine.pinned(too_many),
    ):
        pass


def arm_counts(smooth_fused: int, noise_fused: int) -> dict:
    totals = {
        ("smooth", "fused"): smooth_fused,
        ("smooth", "brute"): 90_000_000,
        ("noise", "fused"): noise_fused,
        ("noise", "brute"): 90_000_000,
    }
    return {run: {"window": 0, "total": n, "vec_fma": n, "sve": 0} for run, n in totals.items()}


@pytest.mark.parametrize(
    ("smooth", "noise", "missed"),
    [
        (5_000_000, 90_000_000, []),
        (5_000_001, 90_000_000, [("smooth", "fused")]),
        (5_000_000, 90_000_001, [("noise", "fused")]),
    ],
)
def test_arm_targets(monkeypatch, capsys, smooth, noise, missed):
    counts = arm_counts(smooth, noise)
    assert arm.missed(counts) == missed
    monkeypatch.setattr(arm, "count_runs", lambda *_: counts)
    monkeypatch.setattr(sys, "argv", ["bench_upsample_argmax.py"])
    assert arm.main() == (1 if missed else 0)
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split() == ["logits", "method", "total", "vec_fma", "target"]
    assert [tuple(row.split()[:2]) for row in rows if "missed" in row] == missed


def test_arm_count_without_a_program_is_one_sentence(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["bench_upsample_argmax.py", str(tmp_path / "missing")])
    assert arm.main() == 2
    assert "no such program" in capsys.readouterr().err


def run_suite(*options: str) -> str:
    suite = str(BENCHMARKS / "bench_upsample_argmax.py")
    command = [sys.executable, "-m", "pytest", suite, "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not sk.cpu.supported_isas(), reason="needs the native extension")
def test_suite_reports_a_ratio_for_every_implementation(tmp_path):
    path = tmp_path / "run.json"
    out = run_suite(
        "--quick",
        "--budget=0",
        "-k=smooth and channels_last and 1thread",
        f"--benchmark-json={path}",
    )
    isas, peers = sk.cpu.supported_isas(), ["eager_argmax", "eager_max"]
    rows = [line.split() for line in out.splitlines() if line.startswith("64x64x150-512x512 ")]
    assert [row[6] for row in rows] == isas
    assert "interleaved rounds" in out and "load average:" in out

    saved = json.loads(path.read_text())
    assert saved["machine_info"]["seaformer"].keys() == machine.describe().keys()
    assert set(saved["conditions"]) == {"date", "load_average"}
    benchmarks = {b["params"]["implementation"]: b for b in saved["benchmarks"]}
    assert list(benchmarks) == [*isas, *peers]
    assert len({b["group"] for b in benchmarks.values()}) == 1
    for isa in isas:
        info = benchmarks[isa]["extra_info"]
        assert benchmarks[isa]["stats"]["rounds"] == 3
        for peer in peers:
            low, median, high = info[f"times_faster_than_{peer}_quartiles"]
            assert 0 < low <= median <= high
