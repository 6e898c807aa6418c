"""What this machine can do at most: multiply-adds from registers, and bytes from memory.

Fixed amounts of work also serve as the yardstick between runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

import seaformer_kernels as sk
from seaformer_kernels import _extension

_ROUNDS = 4_000_000  # ten milliseconds or more, beside which starting a thread is nothing
_CALIBRATION_ROUNDS = 1_000_000  # some milliseconds
_CALIBRATION_FLOATS = 1 << 18  # a thread's: about what a second-level cache holds
_COPIED = 64 << 20  # bytes, more than most caches hold
_REPEATS = 10


def fma_peak(isa: str, threads: int) -> float:
    """Multiply-adds a second with an instruction set: the best of some runs on all threads."""
    run = _extension.module.run_fma_rounds

    def work(_: int) -> int:
        return run(_ROUNDS)

    with sk.cpu.force_isa(isa), ThreadPoolExecutor(threads) as pool:
        return _best(lambda: sum(pool.map(work, range(threads))))


def calibration(threads: int) -> dict[str, Callable[[], object]]:
    """Calls of which the times tell how fast the cores run, since their code does not change.

    "multiply-adds" are from registers with the widest instruction set, on the calling thread.
    "cache" reads as much as second-level caches hold, by torch's sum on torch's threads. On shared
    machines a network's time follows the geometric mean of both.
    """
    run = _extension.module.run_fma_rounds
    isa = sk.cpu.supported_isas()[0]
    numbers = torch.ones(threads * _CALIBRATION_FLOATS)

    def multiply_adds() -> int:
        with sk.cpu.force_isa(isa):
            return run(_CALIBRATION_ROUNDS)

    return {"multiply-adds": multiply_adds, "cache": numbers.sum}


def copy_bandwidth() -> float:
    """Bytes a second that copying reads and writes, on torch's threads: the best of some copies."""
    source = torch.ones(_COPIED, dtype=torch.uint8)
    target = torch.empty_like(source)

    def copy() -> int:
        target.copy_(source)
        return 2 * _COPIED

    return _best(copy)


def _best(work: Callable[[], int]) -> float:
    """The most that work did in a second, of what it returns."""
    best = 0.0
    for _ in range(_REPEATS + 1):  # the first warms up
        start = time.perf_counter()
        done = work()
        best = max(best, done / (time.perf_counter() - start))
    return best
