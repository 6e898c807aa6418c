"""How many multiply-adds a model does, and how many of them in fused ops."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from seaformer_kernels import _extension


@dataclass(frozen=True)
class MultiplyAdds:
    """Those of convolutions and matrix products.

    Attributes:
        by_module: by a module's name, "" for the whole model.
        fused: those in ops of this package.
    """

    by_module: dict[str, int]
    fused: int

    @property
    def total(self) -> int:
        """Those of the whole model."""
        return self.by_module.get("", 0)


@torch.no_grad()
def count_multiply_adds(model: nn.Module, *inputs: Tensor) -> MultiplyAdds:
    """Runs a model once and counts; ours but whole networks run in plain PyTorch for it.

    Args:
        model: on any device; on "meta", it costs nothing.
        inputs: of its forward.
    """
    with FlopCounterMode(display=False) as counter, _InPlainPyTorch(counter) as plain:
        model(*inputs)
    root = type(model).__name__
    by_module = {
        name.removeprefix(root).removeprefix("."): sum(ops.values()) // 2
        for name, ops in counter.get_flop_counts().items()
        if name.startswith(root)
    }
    return MultiplyAdds(by_module, plain.flops // 2)


class _InPlainPyTorch(TorchDispatchMode):
    """Runs ops of ours in their plain form, which the counter around it can see into.

    Attributes:
        flops: what they took.
    """

    def __init__(self, counter: FlopCounterMode):
        super().__init__()
        self.counter = counter
        self.flops = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        namespace, _, name = func._schema.name.partition("::")
        plain = _extension.plain_ops.get(name) if namespace == "seaformer" else None
        if plain is None:
            return func(*args, **(kwargs or {}))
        before = self.counter.get_total_flops()
        result = plain(*args, **(kwargs or {}))
        self.flops += self.counter.get_total_flops() - before
        return result
