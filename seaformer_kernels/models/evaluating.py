"""Eval mode for the length of a block."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode inside the block; afterwards every submodule is in the mode it had before."""
    training = [module for module in model.modules() if module.training]
    if training:  # for a network of many modules this takes a millisecond
        model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
