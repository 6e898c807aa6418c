"""Tells what changed between two runs of the same suite, beyond what noise explains.

    python benchmarks/compare.py OLD.json NEW.json [--tolerance 0.05]

Reads what `seaformer bench` writes and what pytest-benchmark does with --benchmark-json. A time
counts as a multiple of the peers' (their geometric mean) in the same round, so that a machine that
is slower on one day cancels out. A change is real if

- it is larger than the tolerance, than the most that any peer changed against the others, and than
  the change from the first half of either run to its second: in all of these the code is the
  same, so that is what this machine does by itself, and
- the 99.9% interval of the medians' ratio, from bootstrapped rounds, does not hold 1.

Exits with 0 if nothing of ours got slower, with 1 if something did, and with 2 and a sentence if
the files cannot be compared.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seaformer_kernels.bench import record as suite_record

TOLERANCE = 0.05
CONFIDENCE = 0.999
RESAMPLES = 4000
MIN_ROUNDS = 10  # with fewer, medians and their intervals are chance
# Of a case's time: parts of a model that take less are not compared.
LEAST_SHARE = 0.04


class NotComparable(ValueError):
    """What is wrong with the files, as a sentence."""


@dataclass(frozen=True)
class Case:
    """The seconds of every round, by implementation; round i of all is the same."""

    ours: dict[str, list[float]]
    peers: dict[str, list[float]]


@dataclass(frozen=True)
class Change:
    """How the time of one of ours changed, as factors: 1.15 is 15% slower.

    Attributes:
        noise: how much times changed where the code did not.
    """

    case: str
    name: str
    ratio: float
    low: float
    high: float
    noise: float

    def verdict(self, tolerance: float) -> str:
        """ "slower", "faster" or "same"."""
        least = max(1 + tolerance, self.noise)
        if self.ratio > least and self.low > 1:
            return "slower"
        if self.ratio < 1 / least and self.high < 1:
            return "faster"
        return "same"


def read(path: Path) -> dict[str, Case]:
    """The cases of a run by name."""
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise NotComparable(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise NotComparable(f"{path}: expected JSON, got a file where {error}.") from None
    if isinstance(content, dict) and "benchmarks" in content:
        return _pytest_cases(path, content)
    try:
        suite_record.check(content)
    except ValueError as error:
        raise NotComparable(f"{path}: {error}.") from None
    return cases(content)


def cases(record: dict) -> dict[str, Case]:
    """The cases of what `suite.run` returned, by name."""
    return dict(map(_suite_case, record["cases"]))


def _suite_case(case: dict) -> tuple[str, Case]:
    name = "{model} {height}x{width} to {output}, threads: {threads}".format(**case)
    seconds = {i["name"]: i["seconds"] for i in case["implementations"]}
    ours = {i["name"]: i["seconds"] for i in case["implementations"] if i["ours"]}
    parts = case["split"]["seconds"]
    whole = sum(map(np.median, parts.values()))
    large = {k: v for k, v in parts.items() if np.median(v) > LEAST_SHARE * whole}
    peers = {k: v for k, v in seconds.items() if k not in ours}
    return name, Case(ours | large, peers)


def _pytest_cases(path: Path, content: dict) -> dict[str, Case]:
    cases: dict[str, Case] = {}
    try:
        for entry in content["benchmarks"]:
            case = cases.setdefault(
                f"{entry['fullname'].partition('[')[0]} {entry['group']}", Case({}, {})
            )
            held = any(key.startswith("times_faster_than_") for key in entry["extra_info"])
            side = case.ours if held else case.peers
            side[entry["params"]["implementation"]] = entry["stats"]["data"]
    except (KeyError, TypeError, AttributeError) as error:
        raise NotComparable(
            f"{path}: expected what --benchmark-json writes for our suites, got benchmarks without "
            f"{error}."
        ) from None
    return cases


def compare(old: dict[str, Case], new: dict[str, Case]) -> list[Change]:
    """Every change of ours, of what both runs timed."""
    return [
        change for case in old if case in new for change in _changes(case, old[case], new[case])
    ]


def _changes(case: str, old: Case, new: Case) -> Iterator[Change]:
    # Zero is a clock that did not advance.
    peers = [p for p in old.peers if p in new.peers and min(*old.peers[p], *new.peers[p]) > 0]
    names = [name for name in old.ours if name in new.ours]
    if not peers or not names:
        return
    rounds = [len(side.peers[peers[0]]) for side in (old, new)]
    if min(rounds) < MIN_ROUNDS:
        print(f"left out: {case}: {min(rounds)} rounds, {MIN_ROUNDS} are needed", file=sys.stderr)
        return
    logs = [{peer: np.log(side.peers[peer]) for peer in peers} for side in (old, new)]
    noise = _noise(*logs)
    references = [np.mean(list(side.values()), axis=0) for side in logs]
    random = np.random.default_rng(0)
    picks = [random.integers(0, count, (RESAMPLES, count)) for count in rounds]
    for name in names:
        before, after = (
            np.log(np.maximum(side.ours[name], 1e-12)) - reference
            for side, reference in zip((old, new), references, strict=True)
        )
        medians = [np.median(x[p], axis=1) for x, p in zip((before, after), picks, strict=True)]
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(medians[1] - medians[0], [tail, 1 - tail])
        middle = np.median(after) - np.median(before)
        drift = max(noise, _drift(before), _drift(after))
        yield Change(case, name, *map(math.exp, (middle, low, high, drift)))


def _noise(old: dict[str, np.ndarray], new: dict[str, np.ndarray]) -> float:
    """The most that the logarithm of a peer's time changed against the mean of the others'."""
    changes = [0.0]
    for peer in old if len(old) > 1 else ():
        against = [
            np.median(side[peer] - np.mean([side[p] for p in side if p != peer], axis=0))
            for side in (old, new)
        ]
        changes.append(abs(against[1] - against[0]))
    return max(changes)


def _drift(logs: np.ndarray) -> float:
    """How far the medians of a run's halves lie apart."""
    half = len(logs) // 2
    return abs(np.median(logs[half:]) - np.median(logs[:half]))


def lines(changes: list[Change], tolerance: float) -> Iterator[str]:
    """What changed, and how closely the rest was looked at."""
    for verdict in ("slower", "faster"):
        for change in changes:
            if change.verdict(tolerance) == verdict:
                yield (
                    f"{verdict}: {change.case}: {change.name}: {_percent(change.ratio)} "
                    f"[{_percent(change.low)}, {_percent(change.high)}], the same code moved by "
                    f"{_percent(change.noise)}"
                )
    same = [change for change in changes if change.verdict(tolerance) == "same"]
    if same:
        noise = [max(1 + tolerance, change.noise, change.ratio / change.low) for change in same]
        yield (
            f"same: {len(same)} of {len(changes)} times; a change of {_percent(np.median(noise))} "
            f"would have been seen in half of them, of {_percent(max(noise))} in all"
        )


def _percent(factor: float) -> str:
    return f"{100 * (factor - 1):+.1f}%"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        help=f"smaller changes are ignored (default: {TOLERANCE})",
    )
    options = parser.parse_args()
    try:
        changes = compare(read(options.old), read(options.new))
        if not changes:
            raise NotComparable(
                f"{options.old} and {options.new}: expected a case of ours beside the same peer in "
                "both, got none."
            )
    except NotComparable as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 2
    print(*lines(changes, options.tolerance), sep="\n")
    return int(any(change.verdict(options.tolerance) == "slower" for change in changes))


if __name__ == "__main__":
    sys.exit(main())
