"""benchmarks/compare.py: what it calls slower, what not, and what it refuses."""

from __future__ import annotations

import json
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
HERE = {"cpu": "a core", "isas": ["avx2", "scalar"]}


def make_run(seed: int, ours: float = 1.0, clock: float = 1.0, busy: float = 0.1, cpu="a core"):
    """A run on a core of a clock that drifts by `busy` a round, and by 3% between turns."""
    random = np.random.default_rng(seed)
    drift = np.exp(random.normal(0, busy, ROUNDS).cumsum()) / clock

    def rounds(seconds: float) -> list[float]:
        return list(seconds * drift * np.exp(random.normal(0, 0.03, ROUNDS)))

    times = {"avx2": rounds(0.010 * ours), "avx2 whole graph": rounds(0.009)}
    calibration = {"multiply-adds": rounds(0.003), "cache": rounds(0.001)}
    case = compare.Case(times, calibration, {"stem": rounds(0.001)}, "avx2")
    return compare.Run(HERE | {"cpu": cpu}, {"case": case})


def slower(old, new, tolerance=compare.TOLERANCE):
    changes = compare.compare([(old, new)])
    assert {change.name for change in changes} == {"avx2", "avx2 whole graph"}
    return [change.name for change in changes if change.verdict(tolerance) == "slower"]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("busy", [(0.1, 0.1), (0.05, 0.4), (0.4, 0.05)])
def test_a_slowdown_of_15_percent_is_caught_on_a_machine_that_is_disturbed(seed, busy):
    before, after = busy
    old = make_run(seed, busy=before)
    assert slower(old, make_run(100 + seed, ours=1.15, clock=1.25, busy=after)) == ["avx2"]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("clock", [0.7, 1.0, 1.5])
@pytest.mark.parametrize("busy", [(0.1, 0.1), (0.05, 0.4), (0.4, 0.05)])
def test_the_same_code_is_not_flagged(seed, clock, busy):
    before, after = busy
    old = make_run(seed, busy=before)
    assert slower(old, make_run(200 + seed, clock=clock, busy=after)) == []


def test_a_change_within_what_one_run_shows_is_none():
    old, new = make_run(0), make_run(1, ours=1.25)
    assert slower(old, new) == ["avx2"]
    times = old.cases["case"].ours["avx2"]
    times[ROUNDS // 2 + 1 :] = [1.4 * x for x in times[ROUNDS // 2 + 1 :]]
    assert slower(old, new) == []
    change = compare.Change("case", "avx2", [1.16], 1.15, {})
    assert change.verdict(compare.TOLERANCE) == "same"


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ([1.2], 1.2),
        ([1.2, 1.1], 1.1),
        ([0.7, 0.9], 0.9),
        ([1.2, 0.9], 1.0),
        ([1.0, 1.3], 1.0),
        ([1.4, 1.0, 1.1], 1.1),
        ([1.4, 0.9, 1.1, 1.3], 1.1),
    ],
)
def test_what_counts_of_several_pairs(ratios, expected):
    assert compare.typical(ratios) == expected


@pytest.mark.parametrize("busy", range(3))
def test_a_pair_that_was_disturbed_changes_no_verdict_of_three(busy):
    for factor, expected in ((1.0, []), (1.15, ["avx2"])):
        pairs = [(make_run(i), make_run(10 + i, ours=factor)) for i in range(3)]
        disturbed = (1.3, 1.0) if expected else (1.0, 1.3)
        pairs[busy] = tuple(make_run(20 + i, ours=x * factor**i) for i, x in enumerate(disturbed))
        assert (slower(*pairs[busy]) == ["avx2"]) != bool(expected)
        changes = compare.compare(pairs)
        assert [c.name for c in changes if c.verdict(compare.TOLERANCE) == "slower"] == expected
        assert all(len(change.ratios) == 3 for change in changes)


def test_faster_is_no_regression():
    (change, _) = compare.compare([(make_run(0), make_run(1, ours=0.8))])
    assert change.verdict(compare.TOLERANCE) == "faster"
    assert change.verdict(0.5) == "same"


def test_parts_are_named_beside_the_whole_but_not_judged():
    old, new = make_run(0), make_run(1, ours=1.15)
    stem = new.cases["case"].parts["stem"]
    stem[:] = [2 * x for x in stem]
    slow, parts, _ = compare.lines(compare.compare([(old, new)]), compare.TOLERANCE)
    assert slow.startswith("slower: case: avx2: +1")
    assert parts == "  stem +97.0%"
    old, new = make_run(0), make_run(1)
    new.cases["case"].parts["stem"][:] = stem
    assert slower(old, new) == []


def test_two_machines_cannot_be_compared():
    with pytest.raises(compare.NotComparable, match="one machine, got cpu a core and another"):
        compare.compare([(make_run(0), make_run(1)), (make_run(2), make_run(3, cpu="another"))])


def test_rounds_that_do_not_match_are_refused(tmp_path):
    for lose in (
        lambda case: case.ours["avx2"].pop(),
        lambda case: case.calibration["cache"].pop(),
        lambda case: case.calibration.clear(),
        lambda case: case.parts["stem"].clear(),
    ):
        run = make_run(0)
        lose(run.cases["case"])
        with pytest.raises(compare.NotComparable, match="as many rounds of all, got"):
            compare.read(write_run(tmp_path / "run.json", run))


def test_too_few_rounds_are_left_out(capsys):
    few = compare.Run(HERE, {"case": compare.Case({"avx2": [1.0] * 9}, {"cache": [1.0] * 9})})
    assert compare.compare([(few, few)]) == []
    assert "left out: case: 9 rounds, 10 are needed" in capsys.readouterr().err


def write_run(path: Path, run: compare.Run) -> Path:
    case = run.cases["case"]
    suite_case = {
        "model": "seaformer_tiny",
        "height": 64,
        "width": 64,
        "threads": 1,
        "output": "logits",
        "dtype": "float32",
        "implementations": [],
        "split": {"isa": case.whole, "seconds": case.parts},
        "calibration_s": case.calibration,
        "alone_s": case.ours,
        "work": {},
        "failed": {},
        "not_in_type": {},
    }
    empty = {"machine": run.machine, "conditions": {}, "versions": {}, "settings": {}, "absent": {}}
    lists = {"limits": [], "cases": [suite_case], "skipped": {}}
    path.write_text(json.dumps({"schema": SCHEMA, **empty, **lists}))
    return path


def test_types_are_cases_of_their_own():
    case = {"model": "m", "height": 1, "width": 2, "output": "logits", "threads": 1}
    case |= {"split": {"isa": "avx2", "seconds": {}}, "alone_s": {}, "calibration_s": {}}
    cases = [case | {"dtype": dtype} for dtype in ("float32", "float16")]
    assert [*compare.suite_run({"machine": HERE, "cases": cases}).cases] == [
        f"m 1x2 to logits in {dtype}, threads: 1" for dtype in ("float32", "float16")
    ]


def write_pytest_run(path: Path, run: compare.Run) -> Path:
    case = run.cases["case"]
    held = {"times_faster_than_eager_quartiles": [1, 2, 3], "calibration_s": case.calibration}
    entries = [
        {
            "fullname": f"bench_x.py::test_x[{name}-a]",
            "group": "a",
            "params": {"implementation": name},
            "extra_info": info,
            "stats": {"data": seconds},
        }
        for name, seconds, info in [
            *((name, seconds, held) for name, seconds in case.ours.items()),
            ("eager", [1.0] * ROUNDS, {}),
        ]
    ]
    machine = {"seaformer": run.machine}
    path.write_text(json.dumps({"machine_info": machine, "benchmarks": entries}))
    return path


@pytest.fixture
def run(capsys):
    """What the command line does with its arguments: exit code, and all it prints."""

    def run(*arguments: object) -> tuple[int, str]:
        code = compare.main(list(map(str, arguments)))
        return code, "".join(capsys.readouterr())

    return run


@pytest.mark.parametrize("write", [write_run, write_pytest_run])
def test_exit_codes(tmp_path, write, run):
    old = write(tmp_path / "old.json", make_run(0))
    same = write(tmp_path / "same.json", make_run(1))
    slow = write(tmp_path / "slow.json", make_run(2, ours=1.15))
    code, out = run(old, same)
    assert (code, out.splitlines()[-1].partition(":")[0]) == (0, "same")
    code, out = run(old, slow)
    assert code == 1
    assert out.startswith("slower: ") and "avx2: +1" in out.splitlines()[0]
    assert out.splitlines()[-1] == (
        "one pair of runs: take another and give all four files, OLD NEW OLD NEW"
    )
    code, out = run(old, same, old, slow)
    assert (code, out.splitlines()[-1].partition(":")[0]) == (0, "same")
    code, out = run(old, slow, same, slow)
    assert code == 1 and "; the pairs +1" in out.splitlines()[0] and "one pair" not in out
    code, out = run(old, same, slow)
    assert (code, out) == (2, "compare.py: expected pairs of an old run and a new one, got 3.\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("{", "expected JSON"),
        ('{"schema": "other"}', f"expected a record of schema '{SCHEMA}', got 'other'"),
        (f'{{"schema": "{SCHEMA}"}}', "expected the field 'machine' in the record"),
        ('{"benchmarks": [{}]}', "got benchmarks without 'extra_info'"),
        ('{"benchmarks": []}', "got benchmarks without 'machine_info'"),
        (json.dumps({"machine_info": {"seaformer": HERE}, "benchmarks": []}), "got none"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, run, content, message):
    old, bad = write_run(tmp_path / "old.json", make_run(0)), tmp_path / "bad.json"
    if content is not None:
        bad.write_text(content)
    code, out = run(old, bad)
    assert code == 2
    assert message in out
    assert len(out.splitlines()) == 1
