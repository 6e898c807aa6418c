"""Runs a model on images, and gives the maps of its simulated blocks their scales."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from seaformer_kernels.fused import Unservable
from seaformer_kernels.quantize.calibration import check_count, progress
from seaformer_kernels.quantize.convert import link
from seaformer_kernels.quantize.equalize import equalize
from seaformer_kernels.quantize.observers import OBSERVERS
from seaformer_kernels.quantize.simulate import (
    EmptyRange,
    Map,
    SimulatedBlock,
    SimulatedInvertedResidual,
)

LOOK = 32  # images that channels are equalized by
MEASURED = 4  # images that are kept to measure errors on


@torch.no_grad()
def calibrate(
    op: str,
    network: nn.Module,
    blocks: dict[str, SimulatedBlock],
    data: Iterator[Tensor],
    num_samples: int,
    observer: str,
    equalizes: bool,
    show_progress: bool,
) -> tuple[int, list[Tensor]]:
    """Sets all scales; returns how many images there were, and some of them."""
    first: list[Tensor] = []
    for x in data:
        first.append(x)
        if sum(map(len, first)) >= LOOK:
            break
    check_count(op, sum(map(len, first)), num_samples)
    order = link(network, blocks, first[0][:1])
    maps = {id(of): of for path in order for of in blocks[path].maps().values()}
    if equalizes:
        _observe(network, blocks, maps, first, observer)
        for path in order:
            if isinstance(block := blocks[path], SimulatedInvertedResidual):
                equalize(block)
        for of in maps.values():
            of.forget()
    steps = progress("Calibrating", itertools.chain(first, data), num_samples, show_progress)
    samples = _observe(network, blocks, maps, steps, observer)
    for path in order:
        settle(op, path, blocks[path])
    return samples, [x[None] for batch in first for x in batch][:MEASURED]


def settle(op: str, path: str, block: SimulatedBlock) -> None:
    """Sets the scales of a block's maps; those of the blocks before it are set."""
    try:
        # That of a map which another block writes is there, and at least what it can be.
        block.settle_inputs()
        block.settle()
    except EmptyRange:
        raise ValueError(
            f"{op}: expected maps that are not zero throughout, got one in "
            f"{path or 'the model itself'}; are the images of calibration_data black, or the "
            f"weights zero? skip=[{path!r}] keeps that part as it is."
        ) from None
    except Unservable as error:
        block.stays = str(error)


def _observe(
    network: nn.Module,
    blocks: dict[str, SimulatedBlock],
    maps: dict[int, Map],
    images: Iterable[Tensor],
    observer: str,
) -> int:
    for of in maps.values():
        of.observer = OBSERVERS[observer]()
    for block in blocks.values():
        block.observing = True
    count = 0
    for x in images:
        network(x)
        count += len(x)
    for block in blocks.values():
        block.observing = False
    return count
