"""Training samples as functions of the seed, the epoch and the index, batches of the step."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler

Key = tuple[int, int, int]  # epoch, number of the batch in it, and index


def seed_of(*numbers: int) -> int:
    """A seed from 0 below 2**63 that hangs on all of the numbers."""
    text = "/".join(map(str, numbers)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


class TrainingSamples(Dataset):
    """Augmented samples by (epoch, batch, index).

    Args:
        data: gives (image, target) by index.
        augment: makes (input, target) of image, target, a seed, and one of the whole batch.
        seed: of the training.
    """

    def __init__(self, data: Any, augment: Callable[[Any, Any, int, int], Any], seed: int):
        self.data = data
        self.augment = augment
        self.seed = seed

    def __getitem__(self, key: Key) -> tuple[Any, Any, int]:
        """(input, target, index)."""
        epoch, batch, index = key
        image, target = self.data[index]
        seeds = seed_of(self.seed, epoch, index), seed_of(self.seed, epoch, batch, -1)
        x, target = self.augment(image, target, *seeds)
        return x, target, index


class Batches(Sampler):
    """The keys of this process's share of each batch, from one step up to another.

    An epoch goes through a permutation of all samples, but for those that fill no batch.

    Args:
        samples: how many samples there are.
        batch: size of the batch of all processes.
        seed: of the training.
        rank, world: number of this process, and how many there are.
        first, last: steps to begin at and to end before.
    """

    def __init__(
        self, samples: int, batch: int, seed: int, rank: int, world: int, first: int, last: int
    ):
        self.samples = samples
        self.batch = batch
        self.seed = seed
        self.rank = rank
        self.world = world
        self.first = first
        self.last = last
        self.steps_per_epoch = samples // batch

    def __len__(self) -> int:
        return self.last - self.first

    def __iter__(self) -> Iterator[list[Key]]:
        share, order, order_of = self.batch // self.world, [], -1
        for step in range(self.first, self.last):
            epoch, position = divmod(step, self.steps_per_epoch)
            if epoch != order_of:
                order, order_of = self.order(epoch), epoch
            begin = position * self.batch + self.rank * share
            yield [(epoch, position, index) for index in order[begin : begin + share]]

    def order(self, epoch: int) -> list[int]:
        """The permutation of an epoch."""
        generator = torch.Generator().manual_seed(seed_of(self.seed, epoch))
        return torch.randperm(self.samples, generator=generator).tolist()
