"""The machine of a measurement: what it is, how busy it was, and keeping a run on its cores.

    python -m seaformer_kernels.bench.machine

prints the record that the benchmarks keep with their figures.
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import importlib.metadata
import os
import platform
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch

import seaformer_kernels as sk

_CPUS = Path("/sys/devices/system/cpu")


def describe() -> dict:
    """What stays the same from run to run."""
    return {
        "cpu": _cpu_model(),
        "processors": os.cpu_count(),
        "usable_cores": len(cores()),
        "isas": sk.cpu.supported_isas(),
        "governor": _read(_CPUS / "cpu0/cpufreq/scaling_governor") or "not readable",
        "pinning": hasattr(os, "sched_setaffinity"),
        "seaformer_kernels": sk.__version__,
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
    }


def conditions() -> dict:
    """What differs from run to run."""
    load = os.getloadavg() if hasattr(os, "getloadavg") else None
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "load_average": [round(x, 2) for x in load] if load else "not readable",
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Those of the packages that are installed."""
    found = {}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def text(record: dict) -> str:
    """A record as lines."""
    return "\n".join(
        f"{key.replace('_', ' ')}: {', '.join(map(str, x)) if isinstance(x, list) else x}"
        for key, x in record.items()
    )


def cores() -> list[int]:
    """One processor of every physical core that this process may use."""
    if not hasattr(os, "sched_getaffinity"):
        return list(range(os.cpu_count() or 1))
    first: dict[str, int] = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        siblings = _read(_CPUS / f"cpu{cpu}/topology/thread_siblings_list") or str(cpu)
        first.setdefault(siblings, cpu)
    return list(first.values())


@contextlib.contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Gives torch this many threads and the process as many cores, then what they had before.

    Raises:
        ValueError: there are fewer cores.
    """
    available = cores()
    if threads > len(available):
        raise ValueError(f"expected a core for each of {threads} threads, got {len(available)}")
    threads_before = torch.get_num_threads()
    cores_before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    torch.set_num_threads(threads)
    _set_affinity(set(available[:threads]))
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        _set_affinity(cores_before)


def peak_extra_bytes(call: Callable[[], object]) -> int | None:
    """Memory that a call takes at its peak beside what there is before, its result included.

    By the process's resident memory, which Linux counts to some 100 KB. None where it or glibc does
    not tell.
    """
    reset = Path("/proc/self/clear_refs")
    try:
        trim = ctypes.CDLL(None).malloc_trim
        trim(0)  # a call would take freed memory unseen
        reset.write_text("5")  # the peak becomes what there is now
        before = _status_bytes("VmRSS")
    except (AttributeError, OSError):
        return None
    call()
    return max(0, _status_bytes("VmHWM") - before)


def _status_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return int(kilobytes) * 1024


def _set_affinity(cpus: set[int]) -> None:
    if not hasattr(os, "sched_setaffinity"):
        return
    # Threads keep what they were started with, and torch's pool may have started already.
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), cpus)


def _cpu_model() -> str:
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


if __name__ == "__main__":
    print(text(describe() | conditions()))
