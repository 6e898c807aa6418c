"""The instruction sets that tests run on: all there are, or those of SEAFORMER_TEST_ISAS=a,b."""

from __future__ import annotations

import contextlib
import os

import seaformer_kernels as sk

ISAS = list(sk.cpu.supported_isas()) or ["pytorch"]
if wanted := os.environ.get("SEAFORMER_TEST_ISAS"):
    ISAS = wanted.split(",")
    if missing := set(ISAS) - set(sk.cpu.supported_isas()):
        raise ValueError(f"SEAFORMER_TEST_ISAS names {', '.join(sorted(missing))}, missing here")


def force(name: str) -> contextlib.AbstractContextManager:
    """Makes kernels use one of ISAS inside the block."""
    return contextlib.nullcontext() if name == "pytorch" else sk.cpu.force_isa(name)
