"""How the benchmarks measure and report.

pytest-benchmark times one test after the other, so that a machine which slows down in between
changes their ratio. Here a case is timed once for all its implementations, in rounds that call
each of them in turn; then each test hands the rounds of its implementation to pytest-benchmark,
which tabulates, saves and compares them as usual. The ratios of the summary are of calls in the
same round.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import statistics
from collections.abc import Callable, Iterable, Sequence

import pytest

from seaformer_kernels.bench import limits, machine, rounds
from seaformer_kernels.bench.tables import number, spread
from seaformer_kernels.ops._element import ELEMENTS, name_of

# A load average above this at the start shows that other programs were running.
QUIET_LOAD = 0.5


@dataclasses.dataclass(frozen=True)
class Result:
    """The rounds of one case, in seconds a call."""

    labels: dict[str, str]  # the first columns of the summary
    seconds: dict[str, list[float]]  # by implementation
    calls: dict[str, int]  # that a round makes of each
    peers: Sequence[str]  # the implementations that the others are held against
    family: str = ""  # the cases over which medians of ratios are taken, if any
    calibration: dict[str, list[float]] | None = None  # its seconds in each round

    def ratios(self, ours: str, peer: str) -> list[float]:
        """How many times faster than `peer`, round by round."""
        return rounds.ratios(self.seconds[ours], self.seconds[peer])


class Recording:
    """Rounds that were timed before, for pytest-benchmark to time again: its clock follows them."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def play(self, benchmark, seconds: list[float]) -> None:
        remaining = iter(seconds)

        def call() -> None:
            self.now += next(remaining)

        benchmark.pedantic(call, rounds=len(seconds), iterations=1)


RECORDING = Recording()
RESULTS = pytest.StashKey[dict[str, Result]]()
CONDITIONS = pytest.StashKey[dict]()


def pytest_addoption(parser):
    group = parser.getgroup("seaformer benchmarks")
    group.addoption(
        "--quick", action="store_true", help="the first shape or variant only, and few rounds"
    )
    group.addoption(
        "--budget",
        type=float,
        metavar="SECONDS",
        help="time for the rounds of a case, beside warm-up (default: what its file says, with "
        "--quick an eighth of it)",
    )
    group.addoption(
        "--dtype",
        action="append",
        choices=[name_of(dtype) for dtype in ELEMENTS],
        help="element type, float32 unless given; may be repeated",
    )
    group.addoption(
        "--layer-threads",
        type=int,
        default=1,
        metavar="N",
        help="threads of single layers and blocks (default: 1)",
    )


def pytest_configure(config):
    config.stash[RESULTS] = {}
    config.stash[CONDITIONS] = machine.conditions()


def pytest_itemcollected(item):
    if "interleaved" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.benchmark(timer=RECORDING.time))


@pytest.fixture
def layer_threads(request) -> int:
    """Threads that single layers and blocks are timed with."""
    return request.config.getoption("layer_threads")


@pytest.fixture
def interleaved(benchmark, request):
    """A function that times a case, unless a test before did, and reports one implementation."""
    config = request.config
    results = config.stash[RESULTS]
    quick = config.getoption("quick")
    budget = config.getoption("budget")

    def run(
        case: str,
        implementation: str,
        prepare: Callable[[], dict[str, Callable[[], object]]],
        *,
        labels: dict[str, str],
        peers: Sequence[str],
        threads: int,
        seconds: float = 8.0,
        family: str = "",
    ) -> None:
        """Reports the time of `prepare()[implementation]`, which takes no arguments.

        An implementation that is named after an instruction set runs on it.

        Args:
            case: a name for what all the functions of `prepare()` do.
            implementation: the one that this test reports.
            prepare: checks the implementations and returns them by name.
            labels: the first columns of the summary.
            peers: the implementations that the others are held against.
            threads: that torch may use; the process gets as many cores.
            seconds: for the rounds, unless --budget says otherwise; --quick takes an eighth.
            family: cases with this name are summed up by the median of their ratios.
        """
        if case not in results:
            if threads > len(machine.cores()):
                pytest.skip(f"{threads} threads need as many cores")
            with machine.pinned(threads):
                functions = prepare()
                if benchmark.disabled:
                    benchmark(functions[implementation])
                    return
                time_to_fill = seconds / 8 if quick else seconds
                calibration = limits.calibration(threads)
                times, calls = rounds.interleave(
                    calibration | functions,
                    time_to_fill if budget is None else budget,
                    min_rounds=3 if quick else 7,
                )
            calibrated = {what: times.pop(what) for what in calibration}
            results[case] = Result(labels, times, calls, peers, family, calibrated)
        result = results[case]
        benchmark.group = case
        benchmark.extra_info |= labels | {"calls_a_round": result.calls[implementation]}
        if implementation not in peers:
            benchmark.extra_info["calibration_s"] = result.calibration
            for peer in peers:
                ratio = rounds.quartiles(result.ratios(implementation, peer))
                benchmark.extra_info[f"times_faster_than_{peer}_quartiles"] = ratio
        RECORDING.play(benchmark, result.seconds[implementation])

    return run


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["seaformer"] = machine.describe()


def pytest_benchmark_update_json(config, benchmarks, output_json):
    # Not among the machine's facts: a comparison warns when those differ.
    output_json["conditions"] = config.stash[CONDITIONS]


def pytest_terminal_summary(terminalreporter, config):
    results = config.stash[RESULTS]
    if not results:
        return
    terminalreporter.section("interleaved rounds")
    terminalreporter.write_line(machine.text(machine.describe() | config.stash[CONDITIONS]))
    # Cases with the same columns share a table.
    tables: dict[tuple[str, ...], list[list[str]]] = {}
    for result in results.values():
        columns, rows = summary(result)
        tables.setdefault(columns, []).extend(rows)
    for columns, rows in tables.items():
        terminalreporter.write_line(f"\n{table(columns, rows)}")
    families = medians(results.values())
    if families:
        columns = ("median over the cases", "cases", "ours", "peer", "peer / ours", "range")
        terminalreporter.write_line(f"\n{table(columns, families)}")
    terminalreporter.write_line(
        "Medians and [quartiles] over the rounds; a ratio is the peer's time over ours, "
        "in the same round: above 1 ours is faster."
    )
    load = config.stash[CONDITIONS]["load_average"]
    if isinstance(load, list) and load[0] > QUIET_LOAD:
        terminalreporter.write_line(
            f"The machine was not quiet (load average {load[0]} at the start): where there are as "
            "many threads as cores, a call waits for other programs, and ratios mean little."
        )


def summary(result: Result) -> tuple[tuple[str, ...], list[list[str]]]:
    """The columns and, for each implementation that is no peer, the row of a result."""
    columns = (
        *result.labels,
        "rounds",
        "ours",
        "ours, ms",
        *(f"{peer}, ms" for peer in result.peers),
        *(f"{peer} / ours" for peer in result.peers),
    )

    def milliseconds(name: str) -> str:
        return spread([1e3 * x for x in result.seconds[name]])

    rows = [
        [
            *result.labels.values(),
            str(len(seconds)),
            name,
            milliseconds(name),
            *(milliseconds(peer) for peer in result.peers),
            *(spread(result.ratios(name, peer)) for peer in result.peers),
        ]
        for name, seconds in result.seconds.items()
        if name not in result.peers
    ]
    return columns, rows


def medians(results: Iterable[Result]) -> list[list[str]]:
    """A row for each family, implementation and peer: the cases' median ratio, and its range.

    Where there are several peers, one more row is for the fastest of them in each case.
    """
    ratios: dict[tuple[str, str, str], list[float]] = {}
    for result in results:
        if not result.family:
            continue
        for name in [name for name in result.seconds if name not in result.peers]:
            of = {peer: statistics.median(result.ratios(name, peer)) for peer in result.peers}
            if len(of) > 1:
                of["the fastest"] = min(of.values())
            for peer, ratio in of.items():
                ratios.setdefault((result.family, name, peer), []).append(ratio)
    return [
        [
            family,
            str(len(values)),
            name,
            peer,
            number(statistics.median(values)),
            f"{number(min(values))} to {number(max(values))}",
        ]
        for (family, name, peer), values in ratios.items()
    ]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Text with aligned columns, with rules where rich is installed."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    with contextlib.suppress(ImportError):
        from rich import box
        from rich.console import Console
        from rich.table import Table

        drawn = Table(*columns, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for row in rows:
            drawn.add_row(*row)
        # As wide as it takes, since a row broken over lines cannot be read or searched.
        console = Console(file=io.StringIO(), width=sum(widths) + 3 * len(widths))
        console.print(drawn)
        return "\n".join(map(str.rstrip, console.file.getvalue().splitlines()))
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in (columns, *rows))
    return "\n".join(lines)
