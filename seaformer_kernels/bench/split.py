"""Where the time of an optimised model goes: laps by kind of block, taken by hooks."""

from __future__ import annotations

import contextlib
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

from torch import nn

from seaformer_kernels.fused import (
    FusedBlock,
    FusedFusionGate,
    FusedMlp,
    FusedSeaAttention,
    FusedSegmentationHead,
    FusedStem,
    FusedStemBlock,
)

REST = "between blocks"  # what no block takes
LABELS = "head to labels"  # one op, from the head's maps to the labels


def group(name: str, block: FusedBlock) -> str:
    """The part of the network that a block, by its name in the model, counts for.

    The stem may be one op with the first block of stage 1.
    """
    if isinstance(block, FusedStem | FusedStemBlock):
        return "stem"
    if isinstance(block, FusedSeaAttention):
        return "attention"
    if isinstance(block, FusedMlp):
        return "mlp"
    if isinstance(block, FusedFusionGate | FusedSegmentationHead):
        return "head"
    stage = re.search(r"\bsmb(\d+)\b", name)
    return f"stage {stage[1]}" if stage else "other blocks"


class Split:
    """Calls a function and keeps how long each part of the model took in each call.

    The blocks of a head count as the head. Clock readings cost some microseconds a block.

    Args:
        model: that the function runs.
        function: of no arguments.
        clock: in seconds.
    """

    def __init__(
        self,
        model: nn.Module,
        function: Callable[[], object],
        clock: Callable[[], float] = time.perf_counter,
    ):
        self._model, self._function, self._clock = model, function, clock
        self.laps: list[dict[str, float]] = []

    def __call__(self) -> None:
        taken: dict[str, float] = defaultdict(float)
        with self._watched(taken):
            start = self._clock()
            self._function()
            whole = self._clock() - start
        taken[REST] = whole - sum(taken.values())
        self.laps.append(dict(taken))

    def rounds(self, count: int, calls: int) -> dict[str, list[float]]:
        """By part the mean seconds of each of the last rounds, of so many calls each."""
        last = self.laps[-count * calls :]
        timed = [last[start : start + calls] for start in range(0, len(last), calls)]
        return {part: [sum(lap[part] for lap in r) / calls for r in timed] for part in last[0]}

    @contextlib.contextmanager
    def _watched(self, taken: dict[str, float]) -> Iterator[None]:
        entered: list[float] = []  # when each of the blocks began that have not ended

        def enter(*_: object) -> None:
            entered.append(self._clock())

        def leave(part: str) -> None:
            start = entered.pop()
            if not entered:  # a block inside another is part of that
                taken[part] += self._clock() - start

        with contextlib.ExitStack() as stack:
            for name, block in self._model.named_modules():
                if not isinstance(block, FusedBlock):
                    continue
                part = group(name, block)
                stack.callback(block.register_forward_pre_hook(enter).remove)
                hook = block.register_forward_hook(lambda *_, part=part: leave(part))
                stack.callback(hook.remove)
                if isinstance(block, FusedSegmentationHead):
                    stack.enter_context(_labels_watched(block, enter, leave))
            yield


@contextlib.contextmanager
def _labels_watched(
    head: FusedSegmentationHead, enter: Callable[[], None], leave: Callable[[str], None]
) -> Iterator[None]:
    """Its method `labels`, which no hook sees, enters and leaves too."""
    labels = head.labels

    def watched(*args: object) -> object:
        enter()
        result = labels(*args)
        leave(LABELS)
        return result

    head.labels = watched
    try:
        yield
    finally:
        del head.labels
