"""The implementations that a case times: functions by name, and on which instruction set they run.

One whose name begins with an instruction set is ours, forced to that set while it runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from torch import Tensor

import seaformer_kernels as sk


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


def check_close(functions: dict[str, Callable[[], Tensor]], tolerance: float = 1e-4) -> None:
    """Raises AssertionError unless all agree with the last to this share of its largest value."""
    *_, reference = functions.values()
    expected = reference()
    allowed = tolerance * expected.abs().max().item()
    for name, function in functions.items():
        with forced(name):
            error = (function() - expected).abs().max().item()
        assert error <= allowed, f"{name}: differs by {error:.3g}, allowed are {allowed:.3g}"
