"""A progress bar on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from seaformer_kernels.evaluate import sharding


def progress_bar(title: str, wanted: bool = True) -> Callable[[Sequence[int]], Iterable[int]]:
    """What goes through indices with a bar, by rich, on a terminal; that of process 0 only."""

    def track(indices: Sequence[int]) -> Iterable[int]:
        if not wanted or sharding.rank() or len(indices) < 2:
            return indices
        try:
            from rich.console import Console
            from rich.progress import track as rich_track
        except ImportError:
            return indices
        console = Console(stderr=True)
        return rich_track(
            indices, title, console=console, transient=True, disable=not console.is_terminal
        )

    return track
