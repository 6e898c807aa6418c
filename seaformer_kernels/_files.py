"""Writing files whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path


def write_whole(
    files: Mapping[Path, Callable[[Path], object]], flush: bool = False, alone: bool = False
) -> None:
    """Writes files under temporary names beside them, so that none is ever there in part.

    They get their names one after the other, once all are written.

    Args:
        files: by path, what writes the file to a path it is given.
        flush: wait until they are on the disk, so that a loss of power leaves none in part either.
        alone: no other process writes these files, so that a temporary one which a killed process
            left can be written over.

    Raises:
        OSError: one cannot be written; none has changed then.
    """
    # Processes of other machines may write to the same folder.
    unique = uuid.uuid4().hex
    temporary = {
        path: path.with_name(f".{path.name if alone else f'{unique}-{i}'}.part")
        for i, path in enumerate(files)
    }
    try:
        for path, write_to in files.items():
            write_to(temporary[path])
            if flush:
                _to_disk(temporary[path])
        for path in files:
            os.replace(temporary[path], path)
        if flush:
            for folder in {path.parent for path in files}:
                _names_to_disk(folder)
    finally:
        for path in temporary.values():
            path.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _names_to_disk(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):  # a system that opens no folders
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
