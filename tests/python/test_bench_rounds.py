"""seaformer_kernels.bench: the rounds and the machine's record that all suites share."""

from __future__ import annotations

import json
import os
import sys

import pytest
import torch

import seaformer_kernels as sk
from seaformer_kernels.bench import machine, rounds


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
    seconds, calls = rounds.interleave(functions, budget=8.5, min_rounds=1, clock=clock)
    assert calls == {"a": 1, "b": 1}
    assert seconds == {"a": [1.0] * 3, "b": [2.0] * 3}
    assert clock.log == ["a", "a", "b", "b", *["a", "b"] * 3]


def test_interleave_makes_the_least_number_of_rounds():
    clock = FakeTime()
    seconds, _ = rounds.interleave(
        {"a": clock.function("a", 1.0)}, budget=0.0, min_rounds=4, clock=clock
    )
    assert seconds == {"a": [1.0] * 4}


def test_interleave_repeats_fast_calls_and_ignores_a_slow_first_one():
    clock = FakeTime()
    fast = clock.function("fast", 1.0, rounds.SECONDS_A_ROUND / 8)
    functions = {"fast": fast, "slow": clock.function("slow", 1.0)}
    seconds, calls = rounds.interleave(functions, budget=0.0, min_rounds=2, clock=clock)
    assert calls == {"fast": 8, "slow": 1}
    assert seconds["fast"] == pytest.approx([rounds.SECONDS_A_ROUND / 8] * 2)
    assert clock.log[4:] == [*["fast"] * 8, "slow"] * 2


def test_a_rest_comes_before_a_call_that_does_not_count(monkeypatch):
    clock = FakeTime()
    monkeypatch.setattr(rounds.time, "sleep", lambda seconds: clock.log.append(seconds))
    functions = {"a": clock.function("a", 1.0, 1.0, 9.0, 2.0), "b": clock.function("b", 3.0)}
    seconds, _ = rounds.interleave(functions, budget=0.0, min_rounds=1, clock=clock, rest=0.5)
    assert clock.log[4:] == [0.5, "a", "a", 0.5, "b", "b"]
    assert seconds == {"a": [2.0], "b": [3.0]}


@pytest.mark.skipif(not sk.cpu.supported_isas(), reason="needs the native extension")
def test_an_implementation_named_after_a_set_runs_on_it():
    seen = {}

    def note(name):
        return lambda: seen.setdefault(name, set()).add(sk.cpu.info().active_isa)

    usual = sk.cpu.info().active_isa
    functions = {name: note(name) for name in [*sk.cpu.supported_isas(), "peer"]}
    rounds.interleave(functions, budget=0.0, min_rounds=1)
    assert seen == {isa: {isa} for isa in sk.cpu.supported_isas()} | {"peer": {usual}}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([2.0], (2.0, 2.0, 2.0)),
        ([1.0, 2.0], (1.25, 1.5, 1.75)),
        ([5.0, 1.0, 4.0, 2.0, 3.0], (2.0, 3.0, 4.0)),
    ],
)
def test_quartiles(values, expected):
    assert rounds.quartiles(values) == expected


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (0.5, 3.0), (0.95, 4.8), (1.0, 5.0), (0.125, 1.5)]
)
def test_percentile(share, expected):
    assert rounds.percentile([5.0, 1.0, 4.0, 2.0, 3.0], share) == pytest.approx(expected)


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")
def test_peak_memory_is_that_of_the_call():
    def call():
        torch.ones(8 << 20).add_(1)  # 32 MB, and gone when the call ends
        return torch.ones(1 << 20)  # 4 MB

    extra = machine.peak_extra_bytes(call)
    if extra is None:
        pytest.skip("this system does not tell the peak")
    assert 31 << 20 < extra < 40 << 20


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
