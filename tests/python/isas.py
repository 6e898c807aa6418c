"""The instruction sets that tests run on."""

from __future__ import annotations

import contextlib

import seaformer_kernels as sk

ISAS = sk.cpu.supported_isas() or ["pytorch"]


def force(name: str) -> contextlib.AbstractContextManager:
    """Makes kernels use one of ISAS inside the block."""
    return contextlib.nullcontext() if name == "pytorch" else sk.cpu.force_isa(name)
