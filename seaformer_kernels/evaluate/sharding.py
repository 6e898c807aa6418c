"""Sharing an evaluation among processes that torchrun, or a training, started."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed
from torch import Tensor

T = TypeVar("T")

_PATIENCE = timedelta(days=7)  # the slowest process is waited for; torchrun sees to a dead one


@contextmanager
def joined() -> Iterator[None]:
    """Joins the processes of torchrun, on gloo, for the length of a block; alone does nothing."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or _together():
        yield
        return
    torch.distributed.init_process_group("gloo", timeout=_PATIENCE)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def _together() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def rank() -> int:
    """The number of this process, from 0."""
    return torch.distributed.get_rank() if _together() else 0


def world_size() -> int:
    """How many processes there are."""
    return torch.distributed.get_world_size() if _together() else 1


def all_reduce(counts: Tensor) -> None:
    """Sums a tensor on the CPU over the processes, in place."""
    if not _together():
        return
    # NCCL takes tensors on a GPU only.
    there = counts.to("cuda" if torch.distributed.get_backend() == "nccl" else "cpu")
    torch.distributed.all_reduce(there)
    counts.copy_(there)


def gather(found: T) -> list[T]:
    """What each process found, in the order of their numbers; in every process."""
    if not _together():
        return [found]
    all_found: list[Any] = [None] * world_size()
    torch.distributed.all_gather_object(all_found, found)
    return all_found


def first_does(work: Callable[[], T]) -> T:
    """The result of work that process 0 does; what it raises, all raise."""
    if not _together():
        return work()
    told: list[Any] = [None, None]  # the result, what was raised
    if rank() == 0:
        try:
            told[0] = work()
        except Exception as error:
            told[1] = error
    torch.distributed.broadcast_object_list(told)
    result, raised = told
    if raised is not None:
        raise raised
    return result
