"""Result files: where they go, and that they replace nothing."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import click

from seaformer_kernels._files import write_whole
from seaformer_kernels.cli.errors import reason

LABELS, OVERLAY, BOXES = "_labels.png", "_overlay.png", "_boxes.png"


class Outputs(NamedTuple):
    """The two files made of one image."""

    labels: Path
    overlay: Path


def outputs_of(name: Path, out: Path) -> Outputs:
    """What the results of an image of this name, which may lie in folders, are called."""
    path = out / name
    return Outputs(path.with_name(path.name + LABELS), path.with_name(path.name + OVERLAY))


def boxes_of(name: Path, out: Path) -> Path:
    """What the picture of the objects in an image of this name is called."""
    path = out / name
    return path.with_name(path.name + BOXES)


def check(results: Iterable[Path], inputs: Iterable[Path], overwrite: bool) -> None:
    """Makes sure before any work that writing results loses nothing.

    Raises:
        click.UsageError: a result would replace an input, another result or, without
            `overwrite`, any file.
    """
    read = {os.path.realpath(file) for file in inputs}
    written: set[str] = set()
    for result in results:
        path = os.path.realpath(result)
        if path in read:
            raise click.UsageError(f"{show(result)} is read and would be replaced.")
        if path in written:
            raise click.UsageError(f"{show(result)} would be written twice.")
        written.add(path)
        if os.path.lexists(result) and not overwrite:
            raise click.UsageError(f"{show(result)} exists; --overwrite replaces it.")


def make_folder(out: Path) -> None:
    """Makes the output folder, and makes sure before any work that files can be written there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        why = "it is not a folder" if isinstance(error, FileExistsError) else reason(error)
        raise click.ClickException(
            f"Cannot write to the output folder {show(out)}: {why}."
        ) from None


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file.

    Raises:
        click.ClickException: it cannot be written.
    """
    text = json.dumps(content, indent=2) + "\n"
    try:
        write_whole({path: lambda temporary: temporary.write_text(text)})
    except OSError as error:
        raise click.ClickException(f"{show(path)} cannot be written: {reason(error)}") from None


def show(path: Path) -> str:
    """A path fit for a terminal, whatever bytes it is made of."""
    return click.format_filename(path)
