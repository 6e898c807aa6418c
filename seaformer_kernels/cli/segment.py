"""`seaformer segment`: label images."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from seaformer_kernels.cli import images, outputs, pipeline
from seaformer_kernels.cli.errors import ImageError, reason
from seaformer_kernels.cli.options import ModelOptions, model_options
from seaformer_kernels.cli.outputs import show
from seaformer_kernels.cli.pipeline import STEPS, Result, Times


@click.command()
@click.argument(
    "paths", metavar="IMAGE...", type=click.Path(path_type=Path), nargs=-1, required=True
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="seaformer-output",
    show_default=True,
    help="Folder of the results, made if need be.",
)
@click.option("--overwrite", is_flag=True, help="Replace results that are there already.")
@click.option(
    "--eager", is_flag=True, help="Plain PyTorch in every step, without this package's kernels."
)
@model_options
def segment(
    paths: tuple[Path, ...], out: Path, overwrite: bool, eager: bool, **options: Any
) -> None:
    """Label every pixel of images.

    A folder stands for the images in it. Writes NAME_labels.png, whose pixel values are the
    labels, and NAME_overlay.png, the image with the colours of the labels laid over it. Images
    that fail do not stop the others; they are listed at the end, and the exit code is 1.
    """
    options = ModelOptions(**options)
    files = _files(paths)
    outputs.check(files, out, overwrite)
    outputs.make_folder(out)
    model = pipeline.load_model(options)
    engine = pipeline.eager(model) if eager else pipeline.fused(model)

    report = _Report(options)
    failures = []
    bar = report.console.is_terminal and len(files) > 1
    for file in track(files, "Segmenting", console=report.console, transient=True, disable=not bar):
        try:
            result = pipeline.segment(engine, file, options.resize)
            pipeline.save(result, options, outputs.outputs_of(file, out))
        except ImageError as error:
            failures.append(f"{show(file)}: {error}")
        else:
            report.add(file, result)
    report.finish(out)
    if failures:
        click.echo(f"{len(failures)} of {len(files)} images failed:", err=True)
        click.echo("\n".join(failures), err=True)
        sys.exit(1)


def _files(paths: Iterable[Path]) -> list[Path]:
    """Every file the arguments name, once."""
    files = {}
    for path in paths:
        try:
            found = images.find(path)
        except OSError as error:
            raise click.ClickException(f"{show(path)} cannot be listed: {reason(error)}") from None
        if not found:
            raise click.UsageError(f"There are no images in the folder {show(path)}.")
        for file in found:
            files.setdefault(os.path.realpath(file), file)
    return list(files.values())


class _Report:
    """What is told of each image: on a terminal a table at the end, else a line at once."""

    def __init__(self, options: ModelOptions):
        self.console = Console()
        # Labels made by random weights are not worth naming.
        self.names = options.data_set.names if options.weights else None
        self.times: list[Times] = []
        self.table = Table("image", "size", title="Milliseconds for each image", box=SIMPLE)
        for step in STEPS:
            self.table.add_column(step, justify="right")
        if self.names:
            self.table.add_column("mostly")

    def add(self, file: Path, result: Result) -> None:
        self.times.append(result.times)
        size = f"{result.image.width}x{result.image.height}"
        labels = most_frequent(result.labels, self.names) if self.names else []
        if self.console.is_terminal:
            name = Text(show(file))  # not markup, though it may look so
            self.table.add_row(name, size, *_numbers(result.times), *labels[:1])
        else:
            mostly = f"; mostly {', '.join(labels)}" if labels else ""
            click.echo(f"{show(file)} ({size}): {_line(result.times)}{mostly}")

    def finish(self, out: Path) -> None:
        if not self.times:
            return
        count = len(self.times)
        median = Times({step: statistics.median(t[step] for t in self.times) for step in STEPS})
        if self.console.is_terminal:
            if count > 1:
                self.table.add_section()
                self.table.add_row("median", "", *_numbers(median))
            self.console.print(self.table)
        elif count > 1:
            click.echo(f"median of {count}: {_line(median)}")
        click.echo(f"Labels and overlays are in {show(out)}.")


def _numbers(times: Times) -> list[str]:
    return [f"{times[step]:.1f}" for step in STEPS]


def _line(times: Times) -> str:
    return ", ".join(f"{step} {times[step]:.1f} ms" for step in STEPS)


def most_frequent(labels: np.ndarray, names: Sequence[str], count: int = 3) -> list[str]:
    """The labels that most pixels have, each with its share."""
    shares = np.bincount(labels.ravel()) / labels.size
    top = [i for i in np.argsort(-shares, kind="stable")[:count] if shares[i]]
    return [f"{names[i] if i < len(names) else f'class {i}'} {shares[i]:.0%}" for i in top]
