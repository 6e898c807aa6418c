"""Ctrl-C between two steps, so that what is saved is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interruption:
    """Remembers that SIGINT or SIGTERM came, for the block `with interruption.watched():`.

    The second one raises KeyboardInterrupt at once; so does the first inside `at_once`.

    Attributes:
        asked: whether one came.
    """

    def __init__(self) -> None:
        self.asked = False
        self._at_once = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Handles the signals inside the block; only the main thread can, others do nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """For work that may be thrown away."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked or self._at_once:
            raise KeyboardInterrupt
        self.asked = True


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def ignore_in_worker(_: Any = None) -> None:
    """Leaves Ctrl-C, which goes to all processes of a terminal, to the process that trains."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a forked worker has our handler else
