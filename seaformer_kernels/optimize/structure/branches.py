"""Parallel branches that become one convolution by the model's own method."""

from __future__ import annotations

import inspect
import warnings

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from seaformer_kernels.graph import Untraceable, check_called_plainly
from seaformer_kernels.optimize.checks import copied
from seaformer_kernels.optimize.structure.check import agree

# As RepVGG, MobileOne and FastViT, RepLKNet, and YOLO's RepConv name it.
_METHODS = ("reparameterize", "switch_to_deploy", "merge_kernel", "fuse_convs", "fuse")


def with_joined_branches(model: nn.Module) -> nn.Module:
    """A model, which may be changed in place, whose parts have called the methods they have for it.

    The outermost parts come first. What does something else of random maps behind that, or has as
    many layers as before, stays as it was.
    """
    return _joined(model, {})


def _joined(module: nn.Module, done: dict[nn.Module, nn.Module]) -> nn.Module:
    """What takes the place of a module, once for each, so that shared ones stay shared."""
    if module not in done:
        done[module] = result = _by_its_method(module) or module
        for name, child in result._modules.items():
            if child is not None:
                result._modules[name] = _joined(child, done)
    return done[module]


def _by_its_method(module: nn.Module) -> nn.Module | None:
    """A copy that has called its method; None if it has none, or that is of no use."""
    name = next((name for name in _METHODS if _takes_nothing(type(module), name)), None)
    first = next((part for part in module.modules() if isinstance(part, nn.Conv2d)), None)
    if name is None or first is None:
        return None
    try:
        for part in module.modules():
            check_called_plainly(part)
    except Untraceable:
        return None
    with torch.random.fork_rng(devices=()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            joined = copied(module)
            getattr(joined, name)()
        except Exception:  # whatever a method of others may raise
            return None
        joined.eval().requires_grad_(False)
        if _layers(joined) >= _layers(module) or not _keeps_forwards(joined):
            return None
        return joined if agree(module, joined, [first.in_channels]) else None


def _takes_nothing(kind: type[nn.Module], name: str) -> bool:
    """Whether a class has a method of that name that can be called without arguments."""
    method = getattr(kind, name, None)
    if not inspect.isfunction(method):
        return False
    _, *parameters = inspect.signature(method).parameters.values()
    given = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return all(p.default is not p.empty or p.kind in given for p in parameters)


def _layers(module: nn.Module) -> int:
    return sum(isinstance(part, nn.Conv2d | _BatchNorm) for part in module.modules())


def _keeps_forwards(module: nn.Module) -> bool:
    """Whether classes still say what their modules do, which else nothing can be looked for in."""
    return not any("forward" in vars(part) for part in module.modules())
