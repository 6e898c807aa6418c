"""Opening what a caller names: a path, with ~ for the home folder, or an open binary file."""

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from seaformer_kernels.models.checkpoint.error import CheckpointError, shorten, summarize

_LONGEST_LINE = 2**20  # bytes


@dataclass(frozen=True)
class Source:
    """A file to read.

    Attributes:
        file: seekable; its checkpoint starts at 0.
        size: in bytes.
        path: where it lies, if it has a place.
        name: for messages.
    """

    file: BinaryIO
    size: int
    path: Path | None
    name: str


@contextmanager
def opened(source: str | os.PathLike[str] | BinaryIO) -> Iterator[Source]:
    """Opens a path, or takes what is left of an open file.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is a folder, an address or no regular file, or read to its end already.
        TypeError: source is neither a path nor an open binary file.
    """
    if hasattr(source, "read"):
        yield _rest_of(source)
        return
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"Expected a path or an open binary file, got {type(source).__name__}.")
    text = os.fsdecode(os.fspath(source))
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text):  # a Path makes one slash of two
        raise CheckpointError(
            f"Expected a file on this machine, got the address {shorten(text)}: "
            "download it first and give its path."
        )
    path = Path(os.path.expanduser(text))
    if not path.exists():
        raise FileNotFoundError(f"Expected a checkpoint file, got {path}, which does not exist.")
    if not path.is_file():
        raise CheckpointError(f"Expected a checkpoint file, got {path}, which is {_what(path)}.")
    with path.open("rb") as file:
        size = path.stat().st_size
        yield Source(_Bounded(file, size), size, path, str(path))


def _what(path: Path) -> str:
    if not path.is_dir():
        return "not a regular file"
    names = sorted(entry.name for entry in path.iterdir())
    if ".metadata" in names:
        return (
            "a folder of torch.distributed.checkpoint: make one file of it by "
            "torch.distributed.checkpoint.format_utils.dcp_to_torch_save"
        )
    if "saved_model.pb" in names:
        return "a TensorFlow model"
    inside = f" ({summarize(names)})" if names else ""
    return f"a directory: name the file in it{inside}"


def _rest_of(file: BinaryIO) -> Source:
    path = getattr(file, "name", None)
    path = Path(path) if isinstance(path, str) and path else None
    name = str(path) if path else f"the given {type(file).__name__}"
    if isinstance(file, io.TextIOBase):
        raise TypeError(f'Expected a file opened with "rb", got {name}, which is open as text.')
    if not (hasattr(file, "seekable") and file.seekable()):
        file = io.BytesIO(file.read())
    begin = file.tell()
    size = file.seek(0, io.SEEK_END)
    if begin == size > 0:
        raise CheckpointError(
            f"Expected a checkpoint to read, got {name} at its end: call seek(0) first."
        )
    file.seek(begin)
    if begin:
        file = io.BytesIO(file.read())
    return Source(_Bounded(file, size - begin), size - begin, path, name)


class _Bounded:
    """A file whose reads never ask for more than there is.

    Python's files make room for all that is asked for, and damaged files ask for anything.
    """

    def __init__(self, file: BinaryIO, size: int):
        self._file = file
        self._size = size
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable

    def read(self, length: int | None = None) -> bytes:
        left = max(0, self._size - self.tell())
        return self._file.read(left if length is None or length < 0 else min(length, left))

    def readline(self) -> bytes:
        return self._file.readline(_LONGEST_LINE)
