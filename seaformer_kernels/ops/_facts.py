"""What buffers of weights say of themselves, as facts with names, so that two can be compared."""

from __future__ import annotations

import dataclasses
import enum

import torch
from torch import Tensor

from seaformer_kernels.ops import _plan
from seaformer_kernels.ops._activation import name_of_activation
from seaformer_kernels.ops._element import name_of
from seaformer_kernels.ops._packed import (
    EXPANDS,
    PADS_SAME,
    READS_RELU,
    WRITES_RELU,
    Kind,
    check_buffer,
    read_header,
)
from seaformer_kernels.ops._window import Window
from seaformer_kernels.ops.stem import normalizes

Facts = dict[str, int | str]
_WINDOWED = (Kind.CONVOLUTION, Kind.POOL)
_ACTIVATIONS = ("expand_activation", "depthwise_activation", "output_activation")


def packed_facts(packed: Tensor) -> Facts:
    """What packed weights are for: all that their header says.

    Raises:
        ValueError: they are no packed weights, or of another layout.
    """
    check_buffer("state_dict", packed)
    packed = packed.clone()  # aligned
    kind = int(packed[8:12].view(torch.int32))
    if kind not in tuple(Kind):
        raise ValueError(f"state_dict: expected packed weights of a known kind, got {kind}")
    header = read_header("state_dict", Kind(kind), packed)
    facts: Facts = dataclasses.asdict(header)
    del facts["element"]
    facts["dtype"] = name_of(header.dtype)
    facts["kind"] = _name(Kind, header.kind)
    for name in _ACTIVATIONS:
        facts[name] = name_of_activation(getattr(header, name))
    if header.kind == Kind.STEM:
        del facts["flags"]
        facts["mean and std"] = "yes" if normalizes(header, packed) else "no"
    elif header.kind in _WINDOWED:
        for name in Window.of(header).fields():
            if name != "flags":
                del facts[name]
        facts |= {name: str(value) for name, value in vars(Window.of(header)).items()}
    elif not header.flags & ~(EXPANDS | READS_RELU | WRITES_RELU | PADS_SAME):
        del facts["flags"]
        if header.flags & PADS_SAME:
            facts["padding"] = "same"
        facts["expansion"] = "yes" if header.flags & EXPANDS else "no"
        if header.dtype == torch.int8:
            facts["input"] = "relu" if header.flags & READS_RELU else "none"
            if header.flags & WRITES_RELU:
                facts["output"] = "relu"
    return facts


def plan_facts(plan: Tensor) -> Facts:
    """What a plan is for: all but its weights and checksum.

    Raises:
        ValueError: it is no plan, of another version, or damaged.
    """
    if plan.dtype != torch.uint8 or plan.dim() != 1 or len(plan) < _plan.HEADER.size:
        raise ValueError(
            "state_dict: expected a plan as a one-dimensional uint8 tensor, got shape "
            f"{list(plan.shape)} of {plan.dtype}"
        )
    plan = plan.contiguous()
    memory = _plan.memory_of(plan)
    magic, length, _, version, task, classes, steps, raw, *_ = _plan.HEADER.unpack_from(memory)
    end = _plan.HEADER.size + steps * _plan.STEP.size
    end += _plan.OUTPUTS.size if version == _plan.VERSION else 0
    if (
        magic != _plan.MAGIC
        or not 1 <= version <= _plan.VERSION
        or length != len(plan)
        or end > length
    ):
        raise ValueError(
            "state_dict: expected a plan of this version, got another or damaged bytes"
        )
    facts: Facts = {
        "task": _name(_plan.Task, task),
        "classes": classes,
        "mean and std": "yes" if raw else "no",
        "steps": steps,
    }
    if version == _plan.VERSION:
        facts["outputs"] = str(_plan.output_maps(plan))
    for number in range(steps):
        record = _plan.STEP.unpack_from(memory, _plan.HEADER.size + number * _plan.STEP.size)
        _, *inputs, residual, offset, size = record
        step: Facts = {"inputs": str(inputs), "residual": "yes" if residual else "no"}
        step |= packed_facts(plan[offset : offset + size])
        facts |= {f"{name} of step {number}": value for name, value in step.items()}
    return facts


def disagreement(expected: Facts, got: Facts) -> str | None:
    """The first facts that differ, as the end of a sentence; None if all agree."""
    # Those that were pickled with a module before others were told of are all there is to compare.
    names = [name for name in expected if expected[name] != got.get(name)]
    if not names:
        return None

    def told(facts: Facts) -> str:
        return ", ".join(f"{name}: {facts.get(name, 'none')}" for name in names[:3])

    more = f" and {len(names) - 3} more differences" if len(names) > 3 else ""
    return f"expected weights with {told(expected)}, got {told(got)}{more}"


def _name(kinds: type[enum.IntEnum], code: int) -> int | str:
    known = {kind.value: kind.name.lower() for kind in kinds}
    return known.get(code, code)
