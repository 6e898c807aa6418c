"""Whether a fused block does on random maps what it takes the place of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_SIZES = ((2, 7, 9), (1, 8, 6))  # batch, height, width: odd and even
_COARSE = ((2, 4, 5), (1, 5, 3))  # of a second map


@torch.no_grad()
def agree(
    original: Callable[..., object], fused: Callable[..., object], channels: Sequence[int]
) -> bool:
    """Whether two functions of maps with these widths do the same, and change no map.

    An error of either one is a no: then nothing is known.
    """
    generator = torch.Generator().manual_seed(0)
    for sizes in zip(_SIZES, _COARSE, strict=True):
        maps = [
            torch.randn(batch, width, *sides, generator=generator)
            for width, (batch, *sides) in zip(channels, sizes, strict=False)
        ]
        given = [x.clone() for x in maps]
        try:
            expected, got = original(*given), fused(*maps)
        except Exception:
            return False
        unchanged = all(torch.equal(x, y) for x, y in zip(maps, given, strict=True))
        if not unchanged or not is_close(got, expected):
            return False
    return True


_TOLERANCE = 1e-4  # of the largest number


def is_close(got: object, expected: object) -> bool:
    """Whether tensors, or lists and dicts of them, differ by rounding at most."""
    if isinstance(expected, Tensor):
        if not isinstance(got, Tensor) or (got.shape, got.dtype) != (
            expected.shape,
            expected.dtype,
        ):
            return False
        if not expected.is_floating_point():
            return torch.equal(got, expected)
        if not expected.numel():
            return True
        largest = expected.abs().max()
        if not largest.isfinite():
            finite = expected.isfinite()
            if not torch.equal(got.isfinite(), finite) or not finite.any():
                return torch.equal(got.isfinite(), finite)
            got, expected = got[finite], expected[finite]
            largest = expected.abs().max()
        difference = (got - expected).abs().max()  # NaN and inf are no number below
        return bool(difference <= _TOLERANCE * largest + 1e-6)
    if isinstance(expected, list | tuple):
        return (
            isinstance(got, list | tuple)
            and len(got) == len(expected)
            and all(map(is_close, got, expected))
        )
    if isinstance(expected, dict):
        return (
            isinstance(got, dict)
            and got.keys() == expected.keys()
            and all(is_close(got[key], value) for key, value in expected.items())
        )
    return type(got) is type(expected)
