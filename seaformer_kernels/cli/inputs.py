"""Which images the arguments of a command name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import click
from PIL import Image

from seaformer_kernels.cli import heic
from seaformer_kernels.cli.errors import reason
from seaformer_kernels.cli.outputs import BOXES, LABELS, OVERLAY, show

# Pillow tells these from others and cannot read them; EPS would run Ghostscript.
_UNREADABLE = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}


class Input(NamedTuple):
    """An image to work on.

    Attributes:
        path: the file.
        name: what its results are called: its name without suffix, below the folder it was
            found in.
    """

    path: Path
    name: Path


def find(paths: Iterable[Path], recursive: bool) -> list[Input]:
    """Every image that paths of files and folders name, once.

    What this program writes is not taken for an image when it is found in a folder; nor is what is
    hidden.

    Raises:
        click.UsageError: there are none in a folder.
        click.ClickException: a folder cannot be listed.
    """
    found: dict[str, Input] = {}
    for path in paths:
        try:
            inputs = _inputs_of(path, recursive)
        except OSError as error:
            raise click.ClickException(f"{show(path)} cannot be listed: {reason(error)}") from None
        if not inputs:
            below = "" if recursive else "; --recursive looks into the folders below it"
            raise click.UsageError(f"There are no images in the folder {show(path)}{below}.")
        for each in inputs:
            found.setdefault(os.path.realpath(each.path), each)
    return list(found.values())


def check_names(files: Iterable[Input]) -> None:
    """Raises click.UsageError if the results of two images would have the same name."""
    owners: dict[str, Input] = {}
    for file in files:
        # Some file systems do not tell upper from lower case.
        owner = owners.setdefault(str(file.name).casefold(), file)
        if owner is not file:
            raise click.UsageError(
                f"The results of {show(owner.path)} and {show(file.path)} would have the same "
                "name; write them to different folders."
            )


def _inputs_of(path: Path, recursive: bool) -> list[Input]:
    if not path.is_dir():
        return [Input(path, Path(path.stem))]
    files = filter(_is_image, _files_below(path) if recursive else path.iterdir())
    return [Input(file, file.relative_to(path).with_suffix("")) for file in sorted(files)]


def _files_below(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir():
            # A link may lead back up.
            if not path.name.startswith(".") and not path.is_symlink():
                yield from _files_below(path)
        else:
            yield path


def _is_image(path: Path) -> bool:
    return (
        path.suffix.lower() in suffixes()
        and not path.name.startswith(".")
        and not path.name.endswith((LABELS, OVERLAY, BOXES))
        and path.is_file()
    )


@cache
def suffixes() -> frozenset[str]:
    """The suffixes of files that are taken for images: all that Pillow reads, and HEIC."""
    readable = {
        suffix
        for suffix, format_ in Image.registered_extensions().items()
        if format_ in Image.OPEN and format_ not in _UNREADABLE
    }
    return frozenset(readable | heic.SUFFIXES)
