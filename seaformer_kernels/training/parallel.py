"""Layers that work on the batch of all processes, so that their number changes nothing."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class _Sum(torch.autograd.Function):
    """The sum over all processes, in each of them; torch deprecates its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Sum.apply(gradient)


class SyncBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the batch of all processes, which have equal shares of it.

    torch's SyncBatchNorm refuses tensors of the CPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        world, dtype = dist.get_world_size(), x.dtype
        x = x.float() if dtype in (torch.float16, torch.bfloat16) else x
        over, shape = (0, 2, 3), (1, -1, 1, 1)
        mean = _Sum.apply(x.mean(over)) / world
        centred = x - mean.view(shape)
        variance = _Sum.apply(centred.square().mean(over)) / world
        with torch.no_grad():
            count = world * x.numel() // x.shape[1]
            unbiased = variance * (count / max(count - 1, 1))
            running: Any = self  # torch says that there may be no running mean
            running.num_batches_tracked += 1
            running.running_mean.lerp_(mean, self.momentum)
            running.running_var.lerp_(unbiased, self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return torch.addcmul(self.bias.view(shape), centred, scale.view(shape)).to(dtype)


class SharedDropout(nn.Module):
    """Dropout whose draws are for the batch of all processes, of which each takes its share.

    All processes draw the same from the same state of torch's generator, so that their number
    does not change what is dropped.

    Args:
        p: probability of dropping.
        whole_channels: whether whole channels of maps are dropped, as in `torch.nn.Dropout2d`.
        rank, world: number of this process, and how many there are.
    """

    def __init__(self, p: float, whole_channels: bool, rank: int, world: int):
        super().__init__()
        self.p = p
        self.whole_channels = whole_channels
        self.rank = rank
        self.world = world

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        share = len(x)
        shape = (*x.shape[1:2], *(1 for _ in x.shape[2:])) if self.whole_channels else x.shape[1:]
        draws = torch.rand((self.world * share, *shape), dtype=torch.float32)
        kept = draws[self.rank * share :][:share].to(x.device) >= self.p
        return x * (kept.to(x.dtype) / (1 - self.p))


def share_batch(model: nn.Module, rank: int, world: int, dropout: float | None) -> None:
    """Lets the layers of a model that look at the batch look at that of all processes.

    Args:
        model: changed in place; parameters and their names stay.
        rank, world: number of this process, and how many there are.
        dropout: probability for all dropouts; None for their own.
    """
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout | nn.Dropout2d):
                p = child.p if dropout is None else dropout
                whole = isinstance(child, nn.Dropout2d)
                setattr(module, name, SharedDropout(p, whole, rank, world))
            elif type(child) is nn.BatchNorm2d and world > 1:
                child.__class__ = SyncBatchNorm2d
