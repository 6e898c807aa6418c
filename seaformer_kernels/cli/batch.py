"""Working through many images: those that fail do not stop the others."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from seaformer_kernels.cli.errors import ImageError
from seaformer_kernels.cli.inputs import Input
from seaformer_kernels.cli.outputs import show
from seaformer_kernels.cli.times import Times

Result = TypeVar("Result")


def one_by_one(
    files: Iterable[Input], work: Callable[[Input], Result]
) -> Iterator[tuple[Input, Result | ImageError]]:
    """Each file with what `work` makes of it, or the ImageError that it raises."""
    for file in files:
        try:
            yield file, work(file)
        except ImageError as error:
            yield file, error


def process(
    results: Iterable[tuple[Input, Result | ImageError]],
    count: int,
    title: str,
    console: Console,
    tell: Callable[[Input, Result], None],
) -> dict[Input, str]:
    """Calls `tell` with each of `count` results, and returns why there is none of some files."""
    failures = {}
    bar = console.is_terminal and count > 1
    for file, found in track(
        results, title, total=count, console=console, transient=True, disable=not bar
    ):
        if isinstance(found, ImageError):
            failures[file] = str(found)
        else:
            tell(file, found)
    return failures


def exit_if_failed(failures: Mapping[Input, str], count: int) -> None:
    """Lists on stderr which of the images failed, and exits with code 1 if any did."""
    if failures:
        click.echo(f"{len(failures)} of {count} images failed:", err=True)
        for file, why in failures.items():
            click.echo(f"{show(file.path)}: {why}", err=True)
        sys.exit(1)


class Report:
    """What is told of each image: on a terminal a table at the end, else a line at once.

    Args:
        steps: names of the steps that are timed.
        column: what is found in an image, such as "mostly"; None if nothing is to be told.
    """

    def __init__(self, steps: Sequence[str], column: str | None):
        self.console = Console()
        self.steps = steps
        self.column = column
        self.times: list[Times] = []
        self.table = Table("image", "size", title="Milliseconds for each image", box=SIMPLE)
        for step in steps:
            self.table.add_column(step, justify="right")
        if column:
            self.table.add_column(column)

    def add(
        self,
        file: Input,
        image: tuple[int, int],
        warning: str | None,
        times: Times,
        found: Sequence[str],
    ) -> None:
        """Tells of an image of this width and height; without a column, not what was found."""
        if times:
            self.times.append(times)
        size = "{}x{}".format(*image)
        if self.console.is_terminal:
            # Text is not markup, though it may look so.
            cells = [Text("\n".join(found))] if self.column else []
            self.table.add_row(Text(show(file.path)), size, *self._numbers(times), *cells)
        else:
            told = f"; {self.column} {', '.join(found)}" if self.column else ""
            click.echo(f"{show(file.path)} ({size}): {self._line(times)}{told}")
        if warning:
            click.echo(f"{show(file.path)}: {warning}.", err=True)

    def finish(self) -> None:
        """Tells the table, or the medians of several images."""
        if not self.times:
            return
        count = len(self.times)
        median = Times({s: statistics.median(t[s] for t in self.times) for s in self.steps})
        if self.console.is_terminal:
            if count > 1:
                self.table.add_section()
                self.table.add_row("median", "", *self._numbers(median))
            self.console.print(self.table)
        elif count > 1:
            click.echo(f"median of {count}: {self._line(median)}")

    def _numbers(self, times: Times) -> list[str]:
        return [f"{times[step]:.1f}" if step in times else "" for step in self.steps]

    def _line(self, times: Times) -> str:
        told = [f"{step} {times[step]:.1f} ms" for step in self.steps if step in times]
        return ", ".join(told) or "not timed"
