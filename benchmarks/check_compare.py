"""Shows what compare.py flags on this machine: runs of the same code, and planted slowdowns.

    python benchmarks/check_compare.py [--verdicts 10] [--pairs 3] [--factor 1.15] [--model M] ...

For each verdict it takes runs of the suite in turns, each in a process of its own: as it is, as it
is once more, and with ours made slower by the factor (a call waits in a loop for the rest). Exits
with 1 if runs of the same code are flagged or a slowdown is not. Also counts how often a single
pair of these runs would have been wrong.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from collections.abc import Callable, Sequence

import compare

import seaformer_kernels as sk
from seaformer_kernels.bench import contenders, processes, suite
from seaformer_kernels.bench.implementations import vector_isas
from seaformer_kernels.bench.peers import PEERS

ISA = vector_isas()[0]


# Set for a run that is to be slower. The suite starts processes of its own, which import this file
# anew as their main module, so that the factor reaches all of them.
FACTOR = "CHECK_COMPARE_FACTOR"


def plant(factor: float) -> None:
    """Calls of ours take so many times as long in this process."""
    load = contenders.load_ours

    def load_slowed(*args: object) -> contenders.Contender:
        contender = load(*args)
        return dataclasses.replace(contender, call=_stretched(contender.call, factor))

    contenders.load_ours = load_slowed


def _stretched(call: Callable[[], object], factor: float) -> Callable[[], object]:
    def stretched() -> object:
        start = time.perf_counter()
        result = call()
        end = start + factor * (time.perf_counter() - start)
        while time.perf_counter() < end:
            pass
        return result

    return stretched


def run(case: suite.Case, seconds: float) -> compare.Run:
    """Ours beside the case's peers."""
    settings = suite.Settings(isas=(ISA,), seconds=seconds)
    return compare.suite_run(suite.run([case], settings, log=lambda _: None))


Pairs = Sequence[tuple[compare.Run, compare.Run]]


def flagged(pairs: Pairs) -> dict[str, list[float]]:
    """What got slower, and by which factor in each pair."""
    changes = compare.compare(pairs)
    return {c.name: c.ratios for c in changes if c.verdict(compare.TOLERANCE) == "slower"}


def judge(title: str, pairs: Pairs, slowed: bool) -> tuple[int, int]:
    """Prints a verdict and returns whether it is wrong, and how many would be of single pairs."""
    found = {
        name: ", ".join(f"{ratio - 1:+.1%}" for ratio in ratios)
        for name, ratios in flagged(pairs).items()
    }
    print(f"{title}: flagged: {found or 'nothing'}", flush=True)
    return bool(found) != slowed, sum(bool(flagged([pair])) != slowed for pair in pairs)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--verdicts", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=3, help="of runs, for each verdict")
    parser.add_argument("--factor", type=float, default=1.15)
    parser.add_argument("--model", choices=sk.list_models(), default=sk.list_models()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=8.0, help="for the rounds of a run")
    options = parser.parse_args()

    peers = [name for name, peer in PEERS.items() if not peer.slow and not peer.missing()]
    (case,) = suite.product([options.model], [(512, 512)], [options.threads], ["logits"], peers)

    def measure(factor: float = 1.0) -> compare.Run:
        environment = {} if factor == 1 else {FACTOR: str(factor)}
        return processes.call(run, case, options.seconds, environment=environment)

    wrong = wrong_singly = 0
    for number in range(1, options.verdicts + 1):
        turns = [(measure(), measure(), measure(options.factor)) for _ in range(options.pairs)]
        for what, slowed in (("same code", False), ("planted", True)):
            pairs = [(old, slow if slowed else same) for old, same, slow in turns]
            verdict, singly = judge(f"{what} {number}", pairs, slowed)
            wrong += verdict
            wrong_singly += singly
    count = 2 * options.verdicts
    print(
        f"{wrong} of {count} verdicts are wrong; of single pairs "
        f"{wrong_singly} of {count * options.pairs} would have been"
    )
    return int(wrong > 0)


if FACTOR in os.environ:
    plant(float(os.environ[FACTOR]))
if __name__ == "__main__":
    sys.exit(main())
