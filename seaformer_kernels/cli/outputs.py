"""Result files: where they go, and writing them whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import click
from PIL import Image

from seaformer_kernels.cli.errors import ImageError, reason

LABELS, OVERLAY = "_labels.png", "_overlay.png"


class Outputs(NamedTuple):
    """The two files made of one image."""

    labels: Path
    overlay: Path


def outputs_of(image: Path, out: Path) -> Outputs:
    """What an image's results are called."""
    return Outputs(out / (image.stem + LABELS), out / (image.stem + OVERLAY))


def check(files: Iterable[Path], out: Path, overwrite: bool) -> None:
    """Makes sure before any work that writing the results of these images loses nothing.

    Raises:
        click.UsageError: two images would share their results, or results would replace an
            image or, without `overwrite`, any file.
    """
    owners: dict[str, Path] = {}
    inputs = {os.path.realpath(file) for file in files}
    for file in files:
        # Some file systems do not tell upper from lower case.
        owner = owners.setdefault(file.stem.casefold(), file)
        if owner is not file:
            raise click.UsageError(
                f"The results of {show(owner)} and {show(file)} would have the same name; "
                "write them to different folders."
            )
        for result in outputs_of(file, out):
            if os.path.realpath(result) in inputs:
                raise click.UsageError(f"{show(result)} is to be segmented and would be replaced.")
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


def write(images: dict[Path, Image.Image]) -> None:
    """Writes PNG files under temporary names first, so that none is ever there in part."""
    temporary = {path: path.with_name(f".{os.getpid()}-{i}.part") for i, path in enumerate(images)}
    try:
        for path, image in images.items():
            image.save(temporary[path], "PNG")
        for path in images:
            os.replace(temporary[path], path)
    except OSError as error:
        raise ImageError(f"results cannot be written: {reason(error)}") from None
    finally:
        for path in temporary.values():
            path.unlink(missing_ok=True)


def show(path: Path) -> str:
    """A path fit for a terminal, whatever bytes it is made of."""
    return click.format_filename(path)
