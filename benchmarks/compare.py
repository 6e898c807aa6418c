"""Tells what changed between runs of the same suite on one machine, beyond what noise explains.

    python benchmarks/compare.py OLD.json NEW.json [OLD NEW ...] [--tolerance 0.09]

Reads what `seaformer bench` writes and what pytest-benchmark does with --benchmark-json. A time
counts as a multiple of the calibration in the same round, which is work whose code does not change,
so that a machine that is slower on one day cancels out; then the median over the rounds. Peers do
not enter: what they allocate and how they wait changes their times more than ours.

A change is real if it is larger than the tolerance and than twice what lies between the two halves
of either run, where the code is the same. Of several pairs of runs, taken in turns, the median
counts, of two in the middle the smaller change: a busy neighbour can slow a pair down, but hardly
most of them. Parts of a model are named beside a change of the whole, but not judged: a millisecond
depends too much on where its memory lies.

Exits with 0 if nothing of ours got slower, with 1 if something did, and with 2 and a sentence if
the files cannot be compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seaformer_kernels.bench import record as suite_record

TOLERANCE = 0.09
SAME = ("cpu", "isas")  # what two runs must have in common of their machines
MIN_ROUNDS = 10  # with fewer, medians are chance


class NotComparable(ValueError):
    """What is wrong with the files, as a sentence."""


@dataclass(frozen=True)
class Case:
    """The seconds of every round: of ours by implementation, of the calibration, and of parts.

    Attributes:
        whole: the implementation that the parts are of.
    """

    ours: dict[str, list[float]]
    calibration: dict[str, list[float]]
    parts: dict[str, list[float]] = field(default_factory=dict)
    whole: str = ""

    def check(self, where: str) -> None:
        """Raises NotComparable unless there is a calibration, and all have as many rounds."""
        timed = self.ours | self.calibration | self.parts
        counts = {name: len(seconds) for name, seconds in timed.items()}
        if not self.calibration or len(set(counts.values())) != 1:
            raise NotComparable(
                f"{where}: expected a calibration and as many rounds of all, got {counts}."
            )


@dataclass(frozen=True)
class Run:
    """A run's cases by name, and what `machine.describe` said of where it was."""

    machine: dict
    cases: dict[str, Case]


@dataclass(frozen=True)
class Change:
    """How the time of one of ours changed, as factors: 1.15 is 15% slower.

    Attributes:
        ratios: of the pairs of runs, in their order.
        noise: what lies between the halves of a run.
        parts: how those of the model changed, where the runs tell.
    """

    case: str
    name: str
    ratios: list[float]
    noise: float
    parts: dict[str, float]

    @property
    def ratio(self) -> float:
        """What counts of all pairs."""
        return typical(self.ratios)

    def least(self, tolerance: float) -> float:
        """What is seen as a change."""
        # Two runs whose halves lie that far apart can themselves lie farther apart.
        return max(1 + tolerance, self.noise**2)

    def verdict(self, tolerance: float) -> str:
        """ "slower", "faster" or "same"."""
        if self.ratio > self.least(tolerance):
            return "slower"
        return "faster" if self.ratio < 1 / self.least(tolerance) else "same"


def read(path: Path) -> Run:
    """What either suite wrote."""
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise NotComparable(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise NotComparable(f"{path}: expected JSON, got a file where {error}.") from None
    if isinstance(content, dict) and "benchmarks" in content:
        run = _pytest_run(path, content)
    else:
        try:
            suite_record.check(content)
        except ValueError as error:
            raise NotComparable(f"{path}: {error}.") from None
        run = suite_run(content)
    for name, case in run.cases.items():
        case.check(f"{path}: {name}")
    return run


def suite_run(record: dict) -> Run:
    """Of what `suite.run` returned."""
    return Run(record["machine"], dict(map(_suite_case, record["cases"])))


def _suite_case(case: dict) -> tuple[str, Case]:
    name = "{model} {height}x{width} to {output} in {dtype}, threads: {threads}".format(**case)
    split = case["split"]
    return name, Case(case["alone_s"], case["calibration_s"], split["seconds"], split["isa"])


def _pytest_run(path: Path, content: dict) -> Run:
    cases: dict[str, Case] = {}
    try:
        for entry in content["benchmarks"]:
            info = entry["extra_info"]
            if not any(key.startswith("times_faster_than_") for key in info):
                continue
            name = f"{entry['fullname'].partition('[')[0]} {entry['group']}"
            case = cases.setdefault(name, Case({}, info["calibration_s"]))
            case.ours[entry["params"]["implementation"]] = entry["stats"]["data"]
        machine = content["machine_info"]["seaformer"]
        return Run({what: machine[what] for what in SAME}, cases)
    except (KeyError, TypeError, AttributeError) as error:
        raise NotComparable(
            f"{path}: expected what --benchmark-json writes for our suites, got benchmarks without "
            f"{error}."
        ) from None


def compare(pairs: Sequence[tuple[Run, Run]]) -> list[Change]:
    """Every change of ours, of what all runs timed: each pair is an old run and a new one.

    Raises:
        NotComparable: they were on different processors.
    """
    runs = [run for pair in pairs for run in pair]
    for what in SAME:
        first, *others = (run.machine.get(what) for run in runs)
        for other in others:
            if other != first:
                raise NotComparable(
                    f"expected runs on one machine, got {what} {first} and {other}."
                )
    return [
        change
        for name in _in_all([run.cases for run in runs])
        for change in _changes(name, [(old.cases[name], new.cases[name]) for old, new in pairs])
    ]


def typical(ratios: Sequence[float]) -> float:
    """The median; of two in the middle that which is nearer to 1, or 1 where they disagree."""
    ordered = sorted(ratios)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return max(low, 1.0) if high > 1 else high


def _changes(name: str, pairs: Sequence[tuple[Case, Case]]) -> Iterator[Change]:
    cases = [case for pair in pairs for case in pair]
    parts = _in_all([case.parts for case in cases])
    for ours in _in_all([case.ours for case in cases]):
        times = _calibrated_pairs(pairs, lambda case, ours=ours: case.ours[ours])
        rounds = min(len(side) for pair in times for side in pair)
        if rounds < MIN_ROUNDS:
            print(f"left out: {name}: {rounds} rounds, {MIN_ROUNDS} are needed", file=sys.stderr)
            return
        noise = statistics.median(max(map(_unsteadiness, pair)) for pair in times)
        changed = {}
        if all(case.whole == ours for case in cases):
            for part in parts:
                laps = _calibrated_pairs(pairs, lambda case, part=part: case.parts[part])
                changed[part] = typical([_ratio(*pair) for pair in laps])
        yield Change(name, ours, [_ratio(*pair) for pair in times], noise, changed)


def _calibrated_pairs(
    pairs: Sequence[tuple[Case, Case]], seconds: Callable[[Case], list[float]]
) -> list[list[list[float]]]:
    return [[_calibrated(case, seconds(case)) for case in pair] for pair in pairs]


def _in_all(named: Sequence[dict]) -> list[str]:
    """The names that all have, in the order of the first."""
    return [name for name in named[0] if all(name in other for other in named)]


def _calibrated(case: Case, seconds: list[float]) -> list[float]:
    """Times as multiples of the calibration, round by round."""
    # Zero is a clock that did not advance.
    return [
        max(own, 1e-12) / statistics.geometric_mean(max(time, 1e-12) for time in reference)
        for own, *reference in zip(seconds, *case.calibration.values(), strict=True)
    ]


def _ratio(before: list[float], after: list[float]) -> float:
    return statistics.median(after) / statistics.median(before)


def _unsteadiness(times: list[float]) -> float:
    """How far the halves of a run lie apart, as a factor of 1 or more."""
    half = len(times) // 2
    ratio = _ratio(times[:half], times[half:])
    return max(ratio, 1 / ratio)


def lines(changes: list[Change], tolerance: float) -> Iterator[str]:
    """What changed, and how closely the rest was looked at."""
    for verdict in ("slower", "faster"):
        for change in changes:
            if change.verdict(tolerance) == verdict:
                yield (
                    f"{verdict}: {change.case}: {change.name}: {_percent(change.ratio)}, between "
                    f"the halves of a run {_percent(change.noise)}{_by_pair(change)}"
                )
                if change.parts:
                    parts = (f"{part} {_percent(x)}" for part, x in change.parts.items())
                    yield f"  {', '.join(parts)}"
    same = [change for change in changes if change.verdict(tolerance) == "same"]
    if same:
        least = [change.least(tolerance) for change in same]
        half, all_ = map(_percent, (statistics.median(least), max(least)))
        yield (
            f"same: {len(same)} of {len(changes)} times; a change of {half} would have been seen "
            f"in half of them, of {all_} in all"
        )


def _by_pair(change: Change) -> str:
    if len(change.ratios) == 1:
        return ""
    return f"; the pairs {', '.join(map(_percent, change.ratios))}"


def _percent(factor: float) -> str:
    return f"{100 * (factor - 1):+.1f}%"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("more", type=Path, nargs="*", help="further pairs: old, new, old, new")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        help=f"smaller changes are ignored (default: {TOLERANCE})",
    )
    options = parser.parse_args(arguments)
    paths = [options.old, options.new, *options.more]
    try:
        if len(paths) % 2:
            raise NotComparable(f"expected pairs of an old run and a new one, got {len(paths)}.")
        runs = [read(path) for path in paths]
        changes = compare(list(zip(runs[::2], runs[1::2], strict=True)))
        if not changes:
            raise NotComparable(
                f"{', '.join(map(str, paths))}: expected a case of ours in all, got none."
            )
    except NotComparable as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 2
    print(*lines(changes, options.tolerance), sep="\n")
    slower = any(change.verdict(options.tolerance) == "slower" for change in changes)
    if slower and len(paths) == 2:
        print("one pair of runs: take another and give all four files, OLD NEW OLD NEW")
    return int(slower)


if __name__ == "__main__":
    sys.exit(main())
