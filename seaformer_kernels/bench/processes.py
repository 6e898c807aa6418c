"""Calls in new processes, where nothing was loaded before and memory lies elsewhere."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def call(
    function: Callable[..., Result], *arguments: object, environment: Mapping[str, str] = {}
) -> Result:
    """What a function that can be pickled returns in a new process.

    Args:
        environment: variables that are set or replaced there.

    Raises:
        concurrent.futures.process.BrokenProcessPool: the process died.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        with _environment(environment):
            future = pool.submit(function, *arguments)  # starts the process
        try:
            return future.result()
        except KeyboardInterrupt:  # which the process got, too: it ends with what it has
            return future.result()


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
