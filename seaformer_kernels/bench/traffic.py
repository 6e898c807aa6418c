"""The multiply-adds and least memory traffic of an optimised model, by part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from seaformer_kernels.bench.models import multiply_adds
from seaformer_kernels.bench.split import group
from seaformer_kernels.modules.fused import FusedBlock


def work(variant: str, model: nn.Module, image: Tensor) -> dict[str, dict[str, int]]:
    """By part of `split.group`: `macs`, of the plain model, and `bytes`.

    The bytes are those of the maps that each block reads and writes, once each, and its packed
    weights: what has to move if no map stays in a cache from one block to the next.
    """
    macs = multiply_adds(variant, *image.shape[2:])
    blocks: dict[str, FusedBlock] = {}
    for name, module in model.named_modules():
        name = name.removeprefix("module.")
        if isinstance(module, FusedBlock):
            blocks[name] = module
        elif isinstance(module, nn.Identity) and macs.get(name):
            # The op before it does the work of the block that stood here.
            macs[next(reversed(blocks))] += macs[name]
    found: dict[str, dict[str, int]] = defaultdict(lambda: {"macs": 0, "bytes": 0})

    def note(name: str, block: FusedBlock, inputs: tuple, output: Tensor) -> None:
        part = found[group(name, block)]
        inner = sum(macs[other] for other in blocks if other.startswith(f"{name}."))
        part["macs"] += macs[name] - inner
        part["bytes"] += sum(t.nbytes for t in (*_tensors(inputs), output, block.packed))

    hooks = [
        block.register_forward_hook(lambda m, x, y, name=name: note(name, m, x, y))
        for name, block in blocks.items()
    ]
    try:
        with torch.inference_mode():
            model(image)
    finally:
        for hook in hooks:
            hook.remove()
    return dict(found)


def _tensors(values: Iterable) -> list[Tensor]:
    flat: list[Tensor] = []
    for value in values:
        flat += [value] if isinstance(value, Tensor) else _tensors(value)
    return flat
