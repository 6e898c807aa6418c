"""A last look at whole models: whether the fused one does the same as the plain one."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from seaformer_kernels.fused import FusedBlock
from seaformer_kernels.optimize.report import Comparison
from seaformer_kernels.optimize.structure.check import is_close

_ROUNDING = 1e-6  # of an image
_TIMES = 8  # how much farther than that an output may be
_SIDES = ((64, 96), (224, 224))  # the second for models that take this size only


@torch.no_grad()
def does_the_same(model: nn.Module, fused: nn.Module) -> bool | None:
    """Whether two models make the same of an image; None if nothing is known.

    That is so if the first one takes no images, or makes something else of them in each call.

    Args:
        model: in eval mode; nobody else's.
        fused: made of it; what calls leave in it stays in a copy.
    """
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    if first is None or any(m._forward_hooks or m._forward_pre_hooks for m in model.modules()):
        return None  # hooks tell their owners of calls
    # Blocks are constant, and need no copy.
    blocks = {id(part): part for part in fused.modules() if isinstance(part, FusedBlock)}
    fused = copy.deepcopy(fused, blocks)
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a model says of an image that it may not take
        for sides in _SIDES:
            image = torch.randn(1, first.in_channels, *sides, generator=generator)
            try:
                expected = model(image.clone())
            except Exception:
                continue
            got = _called(fused, image)
            if is_close(got, expected):
                return True
            if not is_close(_called(model, image), expected):
                return None
            nearby = _called(model, image * (1 + _ROUNDING))
            return _is_as_close(got, nearby, expected)
    return None


def _is_as_close(got: object, nearby: object, expected: object) -> bool:
    """Whether outputs are no farther from the expected ones than rounding of the image takes them.

    Deep networks make much of rounding, and labels are decided by it where two classes are level.
    """
    triples = list(zip(_tensors(got), _tensors(nearby), _tensors(expected), strict=False))
    counts = {len(list(_tensors(one))) for one in (got, nearby, expected)}
    return counts == {len(triples)} != {0} and all(
        _distance(x, z) <= _TIMES * _distance(y, z) for x, y, z in triples
    )


def _distance(x: Tensor, y: Tensor) -> float:
    """The largest difference, or the part of integers that differ; infinite if shapes do."""
    if x.shape != y.shape or x.dtype != y.dtype:
        return math.inf
    if not x.numel():
        return 0.0
    if not x.is_floating_point():
        return (x != y).float().mean().item()
    distance = (x - y).abs().max().item()
    return math.inf if math.isnan(distance) else distance


def _called(model: nn.Module, image: Tensor) -> object:
    try:
        return model(image.clone())
    except Exception as error:
        return error


@torch.no_grad()
def compare(model: nn.Module, fused: nn.Module, inputs: Sequence[object]) -> Comparison:
    """The outputs of two models on the same inputs.

    Args:
        model: in eval mode; nobody else's.
        fused: made of it; what calls leave in it stays in a copy.
        inputs: arguments of both.

    Raises:
        ValueError: the model cannot be called so, or the outputs are of other shapes.
    """
    fused = copy.deepcopy(fused)
    try:
        expected = list(_tensors(model(*copy.deepcopy(inputs))))
    except Exception as error:
        raise ValueError(
            "optimize: expected example_inputs that the model takes, got some with which it fails "
            f"({type(error).__name__}: {error})"
        ) from error
    got = list(_tensors(fused(*copy.deepcopy(inputs))))
    if [x.shape for x in got] != [x.shape for x in expected]:
        raise ValueError(
            "optimize: expected outputs of one shape, got "
            f"{[list(x.shape) for x in expected]} and, fused, {[list(x.shape) for x in got]}"
        )
    error, largest, equal, count = 0.0, 0.0, 0, 0
    for x, y in zip(expected, got, strict=True):
        if x.is_floating_point() and x.numel():
            error = max(error, (x.double() - y.double()).abs().max().item())
            largest = max(largest, x.abs().max().item())
        elif x.numel():
            equal, count = equal + int((x == y).sum()), count + x.numel()
    return Comparison(error, largest, equal / count if count else 1.0)


def _tensors(outputs: object) -> Iterator[Tensor]:
    if isinstance(outputs, Tensor):
        yield outputs
    elif isinstance(outputs, Mapping):
        for value in outputs.values():
            yield from _tensors(value)
    elif isinstance(outputs, Sequence) and not isinstance(outputs, str):
        for value in outputs:
            yield from _tensors(value)
