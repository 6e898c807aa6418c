"""Interleaved rounds: each calls every implementation in turn, so that drift hits all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

from seaformer_kernels.bench.implementations import forced

# A round calls an implementation for this long, but once at least: a single fast call would be
# dominated by the caches that the one before it left.
SECONDS_A_ROUND = 0.01

# After this long the threads of other runtimes, which wait in a loop for more work, have gone to
# sleep; without the rest they take a third to half of the speed of whatever is timed after them.
REST = 0.03

Clock = Callable[[], float]


def calls_to_fill(function: Callable[[], object], seconds: float, clock: Clock) -> int:
    """How many calls of a warm `function` take `seconds`; at least 1."""
    function()
    start = clock()
    function()
    return max(1, round(seconds / max(clock() - start, 1e-9)))


def interleave(
    functions: dict[str, Callable[[], object]],
    budget: float,
    min_rounds: int,
    clock: Clock = time.perf_counter,
    rest: float = 0.0,
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Times the functions in turn, round by round, until `budget` seconds are over.

    Args:
        rest: seconds of sleep before each turn, and then an untimed call.

    Returns:
        By name the seconds a call of every round, and how many calls a round makes.
    """
    calls = {}
    for name, function in functions.items():
        with forced(name):
            calls[name] = calls_to_fill(function, SECONDS_A_ROUND, clock)
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    end = clock() + budget
    rounds = 0
    while rounds < min_rounds or clock() < end:
        for name, function in functions.items():
            with forced(name):
                if rest:
                    time.sleep(rest)
                    function()
                start = clock()
                for _ in range(calls[name]):
                    function()
                seconds[name].append((clock() - start) / calls[name])
        rounds += 1
    return seconds, calls


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median, third quartile."""
    if len(values) == 1:
        return (values[0],) * 3
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values, from 0 to 1, does not exceed, interpolated."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def ratios(own: Sequence[float], others: Sequence[float]) -> list[float]:
    """How many times longer the others took, round by round."""
    return [theirs / ours for ours, theirs in zip(own, others, strict=True)]
