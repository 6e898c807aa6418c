"""How far int8 blocks are off, by themselves and at the end of the model."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from seaformer_kernels.quantize.calibration import progress
from seaformer_kernels.quantize.simulate import SimulatedBlock


class Noise:
    """Signal to noise in decibels, on a few images.

    Attributes:
        of_block: of each block's output, by path, when it alone is int8.
        of_output: of the model's output, likewise.
    """

    def __init__(
        self,
        network: nn.Module,
        blocks: dict[str, SimulatedBlock],
        images: list[Tensor],
        show_progress: bool,
    ):
        self._network, self._blocks, self._images = network, blocks, images
        self._exact = [_tensors(network(x)) for x in images]
        self.of_block = self._by_block()
        self.of_output: dict[str, float] = {}
        for path in progress("Measuring", list(blocks), len(blocks), show_progress):
            self.of_output[path] = self._at_the_end([path])

    def of_all(self, but: Collection[str] = ()) -> float:
        """Of the model's output, when all blocks but these are int8."""
        return self._at_the_end([path for path in self._blocks if path not in but])

    def worst_first(self) -> list[str]:
        """The blocks, those first that harm the output most."""
        return sorted(self.of_output, key=lambda path: self.of_output[path])

    def _at_the_end(self, paths: Collection[str]) -> float:
        sums = torch.zeros(2, dtype=torch.float64)
        with simulating(self._blocks[path] for path in paths if not self._blocks[path].stays):
            for x, exact in zip(self._images, self._exact, strict=True):
                for y, wanted in zip(_tensors(self._network(x)), exact, strict=True):
                    sums += _squares(y, wanted)
        return _decibels(sums)

    def _by_block(self) -> dict[str, float]:
        sums = {path: torch.zeros(2, dtype=torch.float64) for path in self._blocks}

        def compare(path: str, block: SimulatedBlock, args: tuple, wanted: Tensor) -> None:
            if block.simulating or block.stays:  # the call below
                return
            with simulating([block]):
                sums[path] += _squares(block(*args), wanted)

        hooks = [
            block.register_forward_hook(
                lambda block, args, y, path=path: compare(path, block, args, y)
            )
            for path, block in self._blocks.items()
        ]
        for x in self._images:
            self._network(x)
        for hook in hooks:
            hook.remove()
        return {path: _decibels(each) for path, each in sums.items()}


@contextmanager
def simulating(blocks: Any) -> Iterator[None]:
    """Lets blocks behave as int8 for a while."""
    blocks = list(blocks)
    for block in blocks:
        block.simulating = True
    try:
        yield
    finally:
        for block in blocks:
            block.simulating = False


def _squares(y: Tensor, wanted: Tensor) -> Tensor:
    y, wanted = y.double(), wanted.double()
    return torch.stack([wanted.square().sum(), (y - wanted).square().sum()])


def _decibels(sums: Tensor) -> float:
    return float(10 * torch.log10(sums[0] / sums[1]))


def _tensors(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    values = output.values() if isinstance(output, dict) else output
    return [tensor for value in values for tensor in _tensors(value)]
