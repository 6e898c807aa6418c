"""The types that maps and packed weights may have."""

from __future__ import annotations

from collections.abc import Sequence

import torch

# By their codes in csrc/core/element.h; a further one is a further entry.
ELEMENTS: tuple[torch.dtype, ...] = (torch.float32, torch.float16, torch.bfloat16)

# Maps of int8 mean nothing without a scale, so that few ops take them.
WITH_INT8: tuple[torch.dtype, ...] = (*ELEMENTS, torch.int8)


def name_of(dtype: torch.dtype) -> str:
    """Such as "float16"."""
    return str(dtype).removeprefix("torch.")


def listed(dtypes: Sequence[torch.dtype]) -> str:
    """Such as "float32, float16 or uint8"."""
    *first, last = map(name_of, dtypes)
    return f"{', '.join(first)} or {last}"


NAMES = listed(ELEMENTS)


def code_of(op: str, dtype: torch.dtype, among: Sequence[torch.dtype] = ELEMENTS) -> int:
    """The code of an element type.

    Raises:
        ValueError: it is none of those it may be.
    """
    if dtype not in among:
        raise ValueError(f"{op}: expected dtype to be {listed(among)}, got {_told(dtype)}")
    return WITH_INT8.index(dtype)


def _told(value: object) -> str:
    return name_of(value) if isinstance(value, torch.dtype) else repr(value)
