"""The plan of a run, and running it: case after case until the time is over."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import torch

import seaformer_kernels as sk
from seaformer_kernels.bench import (
    alone,
    contenders,
    limits,
    machine,
    models,
    processes,
    rounds,
    traffic,
)
from seaformer_kernels.bench.case import Case
from seaformer_kernels.bench.contenders import Contender, Converter, Mismatch, NotInType
from seaformer_kernels.bench.implementations import forced
from seaformer_kernels.bench.peers import PEERS
from seaformer_kernels.bench.record import SCHEMA
from seaformer_kernels.bench.tables import WHOLE_GRAPH
from seaformer_kernels.ops._element import ELEMENTS, name_of

OVER = "the time was over"
INTERRUPTED = "interrupted"
DIED = "the process died"
START = 3.0  # seconds until a new process has imported torch
ALONE = 0.5  # of a case's seconds are added for rounds of ours without peers
PACKAGES = (
    "torch",
    "numpy",
    "onnx",
    "onnxruntime",
    "openvino",
    "ncnn",
    "pnnx",
    "mnn",
    "executorch",
)

Log = Callable[[str], None]


Taken = tuple[Case, float]  # and the seconds that it took


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a run measures.

    Attributes:
        isas: instruction sets that ours runs on, widest first; the first is split into parts.
        seconds: for the rounds of a case with peers.
        min_rounds: that a case takes whatever its seconds.
        minutes: no case is started that would likely end later.
        processes: that time ours without peers, see `alone.measure`.
    """

    isas: tuple[str, ...]
    seconds: float = 8.0
    min_rounds: int = 10
    minutes: float = 30.0
    processes: int = 2


def product(
    names: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    threads: Sequence[int],
    outputs: Sequence[str],
    peers: Sequence[str],
    dtypes: Sequence[torch.dtype] = ELEMENTS[:1],
) -> list[Case]:
    """The cases of all combinations."""
    combined = itertools.product(threads, dtypes, outputs, sizes, names)
    return [Case(m, *size, t, output, d, tuple(peers)) for t, d, output, size, m in combined]


def absent_peers(names: Iterable[str]) -> dict[str, str]:
    """Those that cannot run here, and what is missing."""
    missing = {name: PEERS[name].missing() for name in names}
    return {name: f"not installed: {', '.join(parts)}" for name, parts in missing.items() if parts}


def without(names: Iterable[str], absent: Container[str], dtype: torch.dtype) -> dict[str, str]:
    """Those, but the absent, that are not given a type, and why."""
    there = {name: PEERS[name] for name in names if name not in absent}
    if dtype == torch.float32:
        return {}
    if dtype == torch.int8:
        reason = "no int8 form of it is made here"
        return {name: reason for name, peer in there.items() if peer.to_int8 is None}
    return {name: peer.only_float32 for name, peer in there.items() if peer.only_float32}


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def run(cases: Sequence[Case], settings: Settings, log: Log = to_stderr) -> dict:
    """Times the cases and returns the record that `record.check` describes.

    Cases of several numbers of threads run in a process for each number, since a runtime may keep
    to the cores that it first found; `log` is pickled then. Nothing that was measured is lost: a
    case in which ours computes something else than plain PyTorch is named among those that were
    skipped, as are those after an interruption.
    """
    absent = absent_peers(dict.fromkeys(peer for case in cases for peer in case.peers))
    conditions = machine.conditions()
    threads = sorted({case.threads for case in cases})
    record = {
        "schema": SCHEMA,
        "machine": machine.describe(),
        "conditions": conditions,
        "versions": machine.versions(PACKAGES),
        "settings": dataclasses.asdict(settings) | {"isas": list(settings.isas)},
        "limits": [limit for count in threads for limit in measure_limits(count, settings.isas)],
        "absent": absent,
        "cases": [],
        "skipped": {},
    }
    start = time.monotonic()
    end = start + 60 * settings.minutes
    taken: list[Taken] = []
    numbered = [(f"[{number}/{len(cases)}]", case) for number, case in enumerate(cases, 1)]
    for _, group in itertools.groupby(numbered, key=lambda pair: pair[1].threads):
        measure = _measure if len(threads) == 1 else _measure_in_new_process
        found, skipped, taken = measure(list(group), settings, absent, end, taken, log)
        record["cases"] += found
        record["skipped"] |= skipped
    record["conditions"] = conditions | {"seconds": round(time.monotonic() - start, 1)}
    return record


def _measure(
    cases: Sequence[tuple[str, Case]],
    settings: Settings,
    absent: dict[str, str],
    end: float,
    taken: list[Taken],
    log: Log,
) -> tuple[list[dict], dict[str, str], list[Taken]]:
    """What was found of the cases, which of them were skipped and why, and what all have taken.

    Args:
        cases: with what the log calls them.
        end: what time.monotonic() will show when the time is over.
        taken: by the cases before.
    """
    found, skipped = [], {}
    taken = list(taken)
    converter = Converter()
    for place, (title, case) in enumerate(cases):
        start = time.monotonic()
        if start + likely_seconds(case, taken, steady_seconds(settings)) > end:
            skipped[str(case)] = OVER
            continue
        log(f"{title} {case}")
        try:
            found.append(run_case(case, settings, absent, converter, log))
        except Mismatch as error:
            skipped[str(case)] = str(error)
        except BrokenProcessPool:
            skipped[str(case)] = DIED
        except KeyboardInterrupt:
            skipped |= {str(other): INTERRUPTED for _, other in cases[place:]}
            break
        taken.append((case, time.monotonic() - start))
    return found, skipped, taken


def _measure_in_new_process(
    cases: Sequence[tuple[str, Case]], *others: Any
) -> tuple[list[dict], dict[str, str], list[Taken]]:
    """As `_measure`, in a process that nothing was loaded in before."""
    try:
        return processes.call(_measure, cases, *others)
    except BrokenProcessPool:
        return [], {str(case): DIED for _, case in cases}, others[3]


def steady_seconds(settings: Settings) -> float:
    """About what a case takes whatever its size: its rounds, and starting processes."""
    return (1 + ALONE) * settings.seconds + START * settings.processes


def likely_seconds(case: Case, taken: Sequence[Taken], steady: float = 0.0) -> float:
    """How long a case may take, by those before it: what is not steady grows with the pixels."""

    def scaled(other: Case, seconds: float) -> float:
        pixels = case.height * case.width / (other.height * other.width)
        return seconds + max(0.0, seconds - steady) * (max(1.0, pixels) - 1)

    # The same for as many peers or more bounds it from above, a small one far above.
    bounds = [
        scaled(other, seconds)
        for other, seconds in taken
        if (other.model, other.output, other.dtype) == (case.model, case.output, case.dtype)
        and len(other.peers) >= len(case.peers)
    ]
    return min(bounds, default=max((scaled(*pair) for pair in taken), default=0.0))


def measure_limits(threads: int, isas: Iterable[str]) -> list[dict]:
    """What the machine can do at most with these instruction sets on so many cores."""
    with machine.pinned(threads):
        bandwidth = limits.copy_bandwidth()
        return [
            {
                "isa": isa,
                "threads": threads,
                "macs_per_s": limits.fma_peak(isa, threads),
                "copy_bytes_per_s": bandwidth,
            }
            for isa in isas
        ]


def run_case(
    case: Case, settings: Settings, absent: dict[str, str], converter: Converter, log: Log
) -> dict:
    """One entry of the record's cases; `absent` has the peers that it leaves out."""
    plain = models.plain_model(case.model, case.output)
    image = models.image(case.height, case.width)
    failed: dict[str, str] = {}
    not_in_type = without(case.peers, absent, case.dtype)
    key = case.model, case.height, case.width, case.output
    peers = [name for name in case.peers if name not in absent and name not in not_in_type]
    with torch.inference_mode():
        for name in peers:
            with _surviving(name, failed, log):
                converter.convert(name, key, plain, image, case.dtype)
    with machine.pinned(case.threads), torch.inference_mode():
        expected = contenders.expected_output(plain, image)
        ready = contenders.load_all_ours(plain, image, case.output, settings.isas, case.dtype)
        for name, contender in ready.items():
            with forced(name):
                contenders.check(f"ours on {name}", contender.call(), expected, case.dtype)
        for name in [name for name in peers if name not in failed]:
            with _surviving(name, failed, log):
                converted = converter.get(name, key, plain, case.dtype)
                try:
                    contender = contenders.load_peer(
                        name, converted, image, case.threads, case.dtype
                    )
                except NotInType as error:
                    not_in_type[name] = str(error)
                    continue
                contenders.check(name, contender.call(), expected, case.dtype)
                ready[name] = contender
        calls = {name: contender.call for name, contender in ready.items()}
        rest = rounds.REST if case.threads > 1 else 0.0
        seconds, count = rounds.interleave(calls, settings.seconds, settings.min_rounds, rest=rest)
        extra = {name: _extra_bytes(name, call) for name, call in calls.items()}
        parts = traffic.work(case.model, ready[settings.isas[0]].model, image)
    own = alone.measure(
        case, settings.isas, ALONE * settings.seconds, settings.min_rounds, settings.processes
    )
    return {
        "model": case.model,
        "height": case.height,
        "width": case.width,
        "threads": case.threads,
        "output": case.output,
        "dtype": name_of(case.dtype),
        "implementations": [
            _implementation(name, contender, seconds, count[name], extra[name], ready)
            | _kept_bytes(name, contender)
            for name, contender in ready.items()
        ],
        "split": {"isa": settings.isas[0], "seconds": own["parts"]},
        "calibration_s": own["calibration"],
        "alone_s": own["ours"],
        "work": parts,
        "failed": failed,
        "not_in_type": not_in_type,
    }


@contextlib.contextmanager
def _surviving(name: str, failed: dict[str, str], log: Log) -> Iterator[None]:
    """A runtime of others can fail in any way: the run goes on without it, and says so."""
    try:
        yield
    except Exception as error:
        first_line = (str(error).strip().splitlines() or [""])[0]
        failed[name] = f"{type(error).__name__}: {first_line}"
        log(f"    {name} failed: {failed[name]}")


def _extra_bytes(name: str, call: Callable[[], object]) -> int | None:
    with forced(name):
        return machine.peak_extra_bytes(call)


def _kept_bytes(name: str, contender: Contender) -> dict[str, int | None]:
    """What ours keeps: packed weights, and the whole graph's memory for maps."""
    if contender.model is None:
        return {"weights_bytes": None, "arena_bytes": None}
    weights = sum(tensor.nbytes for tensor in contender.model.buffers())
    if not name.endswith(WHOLE_GRAPH):
        return {"weights_bytes": weights, "arena_bytes": None}
    sk.ops.release_memory()  # what others keep
    with forced(name), torch.inference_mode():
        contender.call()
    return {"weights_bytes": weights, "arena_bytes": sk.ops.release_memory()}


def _implementation(
    name: str,
    contender: Contender,
    seconds: dict[str, list[float]],
    calls: int,
    extra: int | None,
    ready: dict[str, Contender],
) -> dict:
    own = seconds[name]
    ours = contender.model is not None
    peers = [peer for peer, other in ready.items() if other.model is None] if ours else []
    return {
        "name": name,
        "ours": ours,
        "convert_s": contender.convert_s,
        "load_s": contender.load_s,
        "first_call_s": contender.first_call_s,
        "extra_bytes": extra,
        "calls_a_round": calls,
        "seconds": own,
        "median_s": statistics.median(own),
        "p95_s": rounds.percentile(own, 0.95),
        "min_s": min(own),
        "times_faster": {p: rounds.quartiles(rounds.ratios(own, seconds[p])) for p in peers},
    }


def default_plan(
    names: Sequence[str] | None = None,
    sizes: Sequence[tuple[int, int]] | None = None,
    threads: Sequence[int] | None = None,
    outputs: Sequence[str] | None = None,
    peers: Sequence[str] | None = None,
    quick: bool = False,
    dtypes: Sequence[torch.dtype] | None = None,
) -> list[Case]:
    """What a run times unless told otherwise, what matters most first.

    Given values replace the usual ones; float32 is the usual type. Without sizes, ours also runs at
    other sizes beside eager PyTorch, for the chart over pixels. Without peers or outputs, slow
    peers take part and labels are timed on the fewest threads alone.

    Raises:
        ValueError: a name is unknown, or there are fewer cores than threads.
    """
    known = sk.list_models()
    cores = len(machine.cores())
    names = list(names or (known[:1] if quick else known))
    threads = list(threads or ([1] if quick else _powers_of_two(cores)))
    given_outputs = outputs
    outputs = list(outputs or models.OUTPUTS)
    dtypes = list(dtypes or ELEMENTS[:1])
    usual = [name for name, peer in PEERS.items() if not (quick and peer.slow)]
    chosen = peers is not None
    peers = list(peers if chosen else usual)
    for what, given, allowed in (
        ("models", names, known),
        ("outputs", outputs, models.OUTPUTS),
        ("peers", peers, list(PEERS)),
    ):
        if unknown := [value for value in given if value not in allowed]:
            raise ValueError(f"expected {what} among {', '.join(allowed)}, got {unknown[0]!r}")
    if max(threads) > cores:
        raise ValueError(f"expected at most {cores} threads, one a core, got {max(threads)}")
    first, *more = ([count] for count in threads)
    usual_sizes = sizes or [(512, 512)]
    cases = product(names, usual_sizes, first, outputs, peers, dtypes)
    # A slow one would take half of the minutes once more for each number of threads.
    quickly = peers if chosen else [name for name in peers if not PEERS[name].slow]
    for count in more:
        cases += product(names, usual_sizes, count, given_outputs or ["logits"], quickly, dtypes)
    if not sizes:
        sides = (256, 1024) if quick else (256, 1024, 2048)
        others = [(side, side) for side in sides]
        name = names[0] if quick or len(names) < 3 else names[2]
        beside = [peer for peer in ("eager_channels_last",) if peer in peers]
        cases += product([name], others, first, ["logits"], beside, dtypes)
    return cases


def _powers_of_two(most: int) -> list[int]:
    counts = [1 << n for n in range(most.bit_length()) if 1 << n <= most]
    return counts if counts[-1] == most else [*counts, most]


__all__ = ["Case", "Settings", "default_plan", "product", "run", "run_case"]
