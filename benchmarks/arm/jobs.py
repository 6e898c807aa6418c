"""Work on all cores, in order; what would end too late, or cannot be done, is left out by name."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import count

from seaformer_kernels.bench import machine


@dataclass(frozen=True)
class Job:
    """A piece of work.

    Attributes:
        name: for people.
        kind: jobs of one kind take time in proportion to their `work`; where one cannot be done,
            none of them can.
        work: how much it is, in any unit.
        run: does it, and returns rows.
    """

    name: str
    kind: str
    work: float
    run: Callable[[], list[dict]]


class Runner:
    """Runs jobs, one on each core.

    Args:
        end: what time.monotonic() will show when all should be over.
        absent: gets the reasons by name of what is left out.
    """

    def __init__(self, end: float, absent: dict[str, str]):
        self._end, self._absent = end, absent
        self._seconds: dict[str, float] = {}  # by kind, the most for a unit of work
        self._lock = threading.Lock()

    def run(self, jobs: Sequence[Job], workers: int | None = None) -> list[dict]:
        """The rows of all jobs, in their order."""
        with ThreadPoolExecutor(workers or len(machine.cores())) as pool:
            return [row for rows in pool.map(self._one, jobs) for row in rows]

    def _one(self, job: Job) -> list[dict]:
        start = time.monotonic()
        with self._lock:
            if job.kind in self._absent:
                return []
            if start + self._seconds.get(job.kind, 0.0) * job.work > self._end:
                self._absent[job.name] = "the time was over"
                return []
        print(f"bench_arm.py: {job.name}", file=sys.stderr)
        try:
            rows = job.run()
        except (count.CountError, OSError) as error:
            with self._lock:
                self._absent[job.kind] = count.reason(error)
            return []
        rate = (time.monotonic() - start) / job.work
        with self._lock:
            self._seconds[job.kind] = max(rate, self._seconds.get(job.kind, 0.0))
        return rows
