"""The multiply-adds and least memory traffic of an optimised model, by part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from seaformer_kernels.bench.models import multiply_adds
from seaformer_kernels.bench.split import group
from seaformer_kernels.fused import FusedBlock


def block_multiply_adds(variant: str, model: nn.Module, height: int, width: int) -> dict[str, int]:
    """By name of each fused block of an optimised model: the multiply-adds that it does itself.

    Those of a block inside another count for the inner one alone.
    """
    macs = multiply_adds(variant, height, width)
    own: dict[str, int] = {}
    for name, module in named_modules(model):
        if isinstance(module, FusedBlock):
            own[name] = macs[name]
        elif isinstance(module, nn.Identity) and macs.get(name):
            # The op before it does the work of the block that stood here.
            own[next(reversed(own))] += macs[name]
    return {
        name: number - sum(own[other] for other in own if other.startswith(f"{name}."))
        for name, number in own.items()
    }


def work(variant: str, model: nn.Module, image: Tensor) -> dict[str, dict[str, int]]:
    """By part of `split.group`: `macs`, of the plain model, and `bytes`.

    The bytes are those of the maps that each block reads and writes, once each, and its packed
    weights: what has to move if no map stays in a cache from one block to the next.
    """
    macs = block_multiply_adds(variant, model, *image.shape[2:])
    found: dict[str, dict[str, int]] = defaultdict(lambda: {"macs": 0, "bytes": 0})

    def note(name: str, block: FusedBlock, inputs: tuple, output: Tensor) -> None:
        part = found[group(name, block)]
        part["macs"] += macs[name]
        moved = (*_tensors(inputs), output, *block.buffers(recurse=False))
        part["bytes"] += sum(tensor.nbytes for tensor in moved)

    hooks = [
        block.register_forward_hook(lambda m, x, y, name=name: note(name, m, x, y))
        for name, block in named_modules(model)
        if isinstance(block, FusedBlock)
    ]
    try:
        with torch.inference_mode():
            model(image)
    finally:
        for hook in hooks:
            hook.remove()
    return dict(found)


def named_modules(model: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    """All modules of an optimised model, with the names of the plain one."""
    for name, module in model.named_modules():
        yield name.removeprefix("module."), module


def _tensors(values: Iterable) -> list[Tensor]:
    flat: list[Tensor] = []
    for value in values:
        flat += [value] if isinstance(value, Tensor) else _tensors(value)
    return flat
