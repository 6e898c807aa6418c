"""Shows what compare.py flags on this machine: runs of the same code, and planted slowdowns.

    python benchmarks/check_compare.py [--pairs 10] [--factor 1.15] [--model M] [--threads N]

Runs the suite, each time in a process of its own, once more than there are pairs and compares each
run with the next one; then as often again with ours made slower by the factor (a call waits in a
loop for the rest), each compared with the run of that number. Exits with 1 if a pair of the same
code is flagged or a slowdown is not.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from unittest import mock

import compare

import seaformer_kernels as sk
from seaformer_kernels.bench import contenders, suite
from seaformer_kernels.bench.implementations import vector_isas
from seaformer_kernels.bench.peers import PEERS

ISA = vector_isas()[0]


@contextlib.contextmanager
def slowed(factor: float) -> Iterator[None]:
    """Calls of ours take so many times as long."""
    load = contenders.load_ours

    def load_slowed(*args: object) -> contenders.Contender:
        contender = load(*args)
        return dataclasses.replace(contender, call=_stretched(contender.call, factor))

    with mock.patch.object(contenders, "load_ours", load_slowed):
        yield


def _stretched(call: Callable[[], object], factor: float) -> Callable[[], object]:
    def stretched() -> object:
        start = time.perf_counter()
        result = call()
        end = start + factor * (time.perf_counter() - start)
        while time.perf_counter() < end:
            pass
        return result

    return stretched


def run(case: suite.Case, seconds: float, factor: float) -> compare.Run:
    """Ours beside the case's peers, with ours slowed by the factor."""
    settings = suite.Settings(isas=(ISA,), seconds=seconds)
    with slowed(factor) if factor != 1 else contextlib.nullcontext():
        return compare.suite_run(suite.run([case], settings, log=lambda _: None))


def run_in_new_process(*arguments: object) -> compare.Run:
    """`run`, where memory lies elsewhere, as it does for the user's next run."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(run, *arguments).result()


def flagged(old: compare.Run, new: compare.Run) -> tuple[list[str], float]:
    """What got slower, and the largest change of whole calls of ours."""
    changes = compare.compare(old, new)
    slower = [c.name for c in changes if c.verdict(compare.TOLERANCE) == "slower"]
    calls = [c.ratio for c in changes if c.name.startswith(ISA)]
    return slower, max(calls, key=lambda ratio: abs(ratio - 1))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--factor", type=float, default=1.15)
    parser.add_argument("--model", choices=sk.list_models(), default=sk.list_models()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=8.0, help="for the rounds of a run")
    options = parser.parse_args()

    peers = [name for name, peer in PEERS.items() if not peer.slow and not peer.missing()]
    (case,) = suite.product([options.model], [(512, 512)], [options.threads], ["logits"], peers)

    def measure(factor: float = 1.0) -> compare.Run:
        return run_in_new_process(case, options.seconds, factor)

    wrong = 0
    runs = [measure()]
    for number in range(1, options.pairs + 1):
        runs.append(measure())
        names, change = flagged(runs[-2], runs[-1])
        wrong += bool(names)
        print(f"same code, pair {number}: {change - 1:+.1%}, flagged: {names}", flush=True)
    for number in range(1, options.pairs + 1):
        names, change = flagged(runs[number], measure(options.factor))
        wrong += not names
        print(f"planted, pair {number}: {change - 1:+.1%}, flagged: {names}", flush=True)
    print(f"{wrong} of {2 * options.pairs} verdicts are wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
