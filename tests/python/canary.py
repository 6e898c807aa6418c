"""Notices whatever code does that reading a checkpoint never has to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Audit events: running code, finding it, and touching anything outside the process.
_FORBIDDEN = (
    "code.",
    "compile",
    "ctypes.",
    "exec",
    "ftplib.",
    "import",
    "marshal.",
    "mmap.",
    "open",
    "os.",
    "pickle.",
    "shutil.",
    "socket.",
    "subprocess.",
    "tempfile.",
    "urllib.",
)
_watching: list[list[str]] = []


def _notice(event: str, arguments: tuple) -> None:
    if _watching and event.startswith(_FORBIDDEN):
        _watching[-1].append(f"{event} {str(arguments)[:100]}")


sys.addaudithook(_notice)  # for good: Python has no way to remove one


@contextmanager
def watched() -> Iterator[list[str]]:
    """A list that gets every forbidden event of what runs inside."""
    events: list[str] = []
    _watching.append(events)
    try:
        yield events
    finally:
        _watching.remove(events)
