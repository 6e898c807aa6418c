"""Ours without peers, beside the calibration that compare.py needs: in processes of their own.

How memory came to lie where it does changes a time by some hundredths for as long as a process
lives, so that one process would not do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from seaformer_kernels.bench import contenders, limits, machine, models, processes, rounds
from seaformer_kernels.bench.case import Case
from seaformer_kernels.bench.implementations import forced
from seaformer_kernels.bench.split import Split

SPLIT = "split"  # ours on the widest instruction set, with hooks that take laps

# glibc's heap keeps what it has. Otherwise some processes, and not others, give the largest maps
# back after every call, and page faults take a tenth of the time op by op.
STEADY_HEAP = {
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "MALLOC_TOP_PAD_": str(64 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
}

Rounds = dict[str, dict[str, list[float]]]


def measure(case: Case, isas: Sequence[str], seconds: float, min_rounds: int, count: int) -> Rounds:
    """The seconds of all rounds: of "ours" by name, of the "calibration", of "parts" of the first.

    Args:
        seconds: for all rounds.
        min_rounds: that are taken whatever the seconds, of all processes together.
        count: of processes, one after the other; 0 for this one.
    """
    if count == 0:
        return _measure(case, isas, seconds, min_rounds)
    share = case, isas, seconds / count, math.ceil(min_rounds / count)
    runs = [processes.call(_measure, *share, environment=STEADY_HEAP) for _ in range(count)]
    return {
        what: {name: [time for run in runs for time in run[what][name]] for name in named}
        for what, named in runs[0].items()
    }


def _measure(case: Case, isas: Sequence[str], seconds: float, min_rounds: int) -> Rounds:
    plain = models.plain_model(case.model, case.output)
    image = models.image(case.height, case.width)
    with machine.pinned(case.threads), torch.inference_mode():
        ours = contenders.load_all_ours(plain, image, case.output, isas, case.dtype)
        split = Split(ours[isas[0]].model, ours[isas[0]].call)

        def split_call() -> None:
            with forced(isas[0]):
                split()

        calibration = limits.calibration(case.threads)
        calls = {name: contender.call for name, contender in ours.items()}
        timed, calls_a_round = rounds.interleave(
            calibration | calls | {SPLIT: split_call}, seconds, min_rounds
        )
    return {
        "ours": {name: timed[name] for name in ours},
        "calibration": {name: timed[name] for name in calibration},
        "parts": split.rounds(len(timed[SPLIT]), calls_a_round[SPLIT]),
    }
