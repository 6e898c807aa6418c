"""The implementations that a case times: functions by name, and on which instruction set they run.

One whose name begins with an instruction set is ours, forced to that set while it runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import torch
from torch import Tensor

import seaformer_kernels as sk

TOLERANCE = 1e-4  # in float32
ROUNDINGS = 16  # and in a half type, in its eps


def vector_isas() -> list[str]:
    """The instruction sets that this processor supports but the scalar one, unless it is alone."""
    isas = sk.cpu.supported_isas()
    return [isa for isa in isas if isa != "scalar"] or isas


def forced(name: str) -> contextlib.AbstractContextManager:
    """Where the implementation of this name runs."""
    isa = name.partition(" ")[0]
    if isa in sk.cpu.supported_isas():
        return sk.cpu.force_isa(isa)
    return contextlib.nullcontext()


def check_close(
    functions: dict[str, Callable[[], Tensor]], dtype: torch.dtype = torch.float32
) -> None:
    """Raises AssertionError unless all agree with the last, to a share of its largest value."""
    tolerance = TOLERANCE if dtype == torch.float32 else ROUNDINGS * torch.finfo(dtype).eps
    *_, reference = functions.values()
    expected = reference().float()
    allowed = tolerance * expected.abs().max().item()
    for name, function in functions.items():
        with forced(name):
            error = (function().float() - expected).abs().max().item()
        assert error <= allowed, f"{name}: differs by {error:.3g}, allowed are {allowed:.3g}"
