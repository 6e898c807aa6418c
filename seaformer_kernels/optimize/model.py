"""The result of optimize."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator

import torch
from torch import nn

from seaformer_kernels.optimize.multiply_adds import count_multiply_adds
from seaformer_kernels.optimize.report import Report
from seaformer_kernels.optimize.whole_graph import WholeNetwork


class OptimizedModel(nn.Module):
    """A fused model: called like the plain one, with the plain one's public attributes.

    It stays in eval mode: `train()` changes nothing. Packed weights are buffers, so a model that is
    fused throughout has no named parameters; see `parameters`.

    Attributes:
        module: the fused copy of the plain model.
        holds_packed_weights: tells `load_checkpoint`, which cannot fill it.
    """

    holds_packed_weights = True

    _dtype = torch.float32  # of those that were pickled before there were others

    def __new__(
        cls, module: nn.Module, report: Report, dtype: torch.dtype = torch.float32
    ) -> OptimizedModel:
        return super().__new__(_class_for(_importable(type(module))))

    def __init__(self, module: nn.Module, report: Report, dtype: torch.dtype = torch.float32):
        super().__init__()
        self._dtype = dtype
        self.module = module
        self._report = report
        self.eval()

    def forward(self, *args: object, **kwargs: object) -> object:
        """The same as `module`'s, whose signature it has."""
        return self.module(*args, **kwargs)

    def report(self, input_size: tuple[int, int] | None = None) -> Report:
        """Which blocks are fused, and why others are not.

        Args:
            input_size: height and width of an image. The report then has the share of the model's
                multiply-adds that fused ops do, for which the model runs once, on [1, 3, H, W]
                zeros and in plain PyTorch.

        Raises:
            TypeError: input_size is not two integers.
            ValueError: it is not positive, or the model takes no such images.
        """
        if input_size is None:
            return self._report
        sides = input_size if isinstance(input_size, tuple | list) else ()
        if len(sides) != 2 or not all(isinstance(side, int) for side in sides):
            raise TypeError(
                f"report: expected input_size to be (height, width), got {input_size!r}."
            )
        if min(sides) < 1:
            raise ValueError(f"report: expected a positive input_size, got {input_size}.")
        if isinstance(self.module, WholeNetwork):
            share = 1.0
        else:
            counts = count_multiply_adds(self, torch.zeros(1, 3, *sides, device=self.device))
            share = counts.fused / counts.total if counts.total else 0.0
        return dataclasses.replace(self._report, input_size=tuple(sides), fused_share=share)

    @property
    def device(self) -> torch.device:
        """Where the weights are, packed or not."""
        tensors = itertools.chain(self.module.parameters(), self.module.buffers())
        return next((tensor.device for tensor in tensors), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """Of the maps and weights of what is fused, parts kept in float32 apart."""
        return self._dtype

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """The parameters of what stayed plain, or an empty one if there are none.

        `next(model.parameters())` is how much code asks for a model's device and dtype, so it has
        to have an answer, which is of `device` and `dtype` and has no elements. It is no part of
        the model: not among `named_parameters`, in the state dict or in a module around this one.
        """
        found = list(super().parameters(recurse))
        if not found:
            empty = torch.empty(0, dtype=self.dtype, device=self.device)
            found.append(nn.Parameter(empty, requires_grad=False))
        return iter(found)

    def train(self, mode: bool = True) -> OptimizedModel:
        """Stays in eval mode, whatever the mode asked for."""
        return super().train(False)

    def __getattr__(self, name: str) -> object:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_") or "module" not in self._modules:
                raise
            return getattr(self.module, name)

    def __setattr__(self, name: str, value: object) -> None:
        """Sets what the fused copy has by that name there, where its forward reads it."""
        parts = self.__dict__.get("_modules", {})
        own = name.startswith("_") or name in self.__dict__ or hasattr(type(self), name)
        if own or name in parts or "module" not in parts or not hasattr(self.module, name):
            super().__setattr__(name, value)
        else:
            setattr(self.module, name, value)

    def __reduce__(self) -> tuple:
        # The class itself has no name to be found by.
        return _new, (_importable(type(self.module)),), self.__getstate__()


def _importable(kind: type[nn.Module]) -> type[nn.Module]:
    """The class itself, or that whose forward was written anew for it."""
    return getattr(kind, "rewritten_class", kind)


@functools.cache
def _class_for(kind: type[nn.Module]) -> type[OptimizedModel]:
    """OptimizedModel with the forward's signature that this kind of module has."""

    @functools.wraps(kind.forward)
    def forward(self: OptimizedModel, *args: object, **kwargs: object) -> object:
        return self.module(*args, **kwargs)

    return type(OptimizedModel.__name__, (OptimizedModel,), {"forward": forward})


def _new(kind: type[nn.Module]) -> OptimizedModel:
    return nn.Module.__new__(_class_for(kind))
