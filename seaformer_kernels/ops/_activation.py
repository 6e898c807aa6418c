"""Activations behind convolutions: their names, and codes as in csrc/core/activation.h."""

from __future__ import annotations

import enum
import math
import re
import struct
from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F


class Activation(enum.IntEnum):
    """Those that are no leaky ReLU, whose codes are the bits of their slopes."""

    NONE = 0
    RELU = 1
    RELU6 = 2
    HARDSIGMOID = 3
    HARDSWISH = 4
    SILU = 5
    SIGMOID = 6
    GELU = 7
    GELU_TANH = 8

    @classmethod
    def of(cls, op: str, name: str, most: Activation | None = None) -> int:
        """The code of that name in lower case, up to `most`; raises ValueError if there is none."""
        known = {a.name.lower(): a.value for a in cls if most is None or a <= most}
        slope = _LEAKY_RELU.fullmatch(name) if most is None else None
        if slope is not None and leaky_relu(float(slope[1])) is not None:
            (known[name],) = _BITS.unpack(_FLOAT.pack(float(slope[1])))
        if name not in known:
            leaky = "" if most else ", leaky_relu(0.01) with any positive slope"
            raise ValueError(
                f"{op}: expected an activation among {', '.join(known)}{leaky}, got {name!r}"
            )
        return known[name]


ACTIVATIONS = tuple(activation.name.lower() for activation in Activation)
"""The names of activations that convolutions of floats may have behind them."""

_FLOAT, _BITS = struct.Struct("<f"), struct.Struct("<i")
_LEAKY_RELU = re.compile(r"leaky_relu\((\d+(?:\.\d*)?(?:e[-+]?\d+)?)\)")
_LEAST_SLOPE, _GREATEST_SLOPE = 2.0**-126, 2.0**127


def leaky_relu(slope: float) -> str | None:
    """The name of a leaky ReLU; None if the slope is not positive, or no normal float32."""
    if not _LEAST_SLOPE <= slope <= _GREATEST_SLOPE:  # nor NaN
        return None
    return f"leaky_relu({slope!r})"


def slope_of(code: int) -> float | None:
    """Of the code of a leaky ReLU; None if it is another code."""
    try:
        (slope,) = _FLOAT.unpack(_BITS.pack(code))
    except struct.error:
        return None
    return slope if _LEAST_SLOPE <= slope < math.inf else None


def is_activation(code: int) -> bool:
    """Whether there is an activation of this code."""
    return code in tuple(Activation) or slope_of(code) is not None


def name_of_activation(code: int) -> str | int:
    """As `Activation.of` takes it; the code itself if there is none."""
    slope = slope_of(code)
    if slope is not None:
        return f"leaky_relu({slope:.9g})"
    return ACTIVATIONS[code] if is_activation(code) else code


def activate(x: Tensor, code: int) -> Tensor:
    """The activation of a header's code."""
    slope = slope_of(code)
    return _FUNCTIONS[code](x) if slope is None else F.leaky_relu(x, slope)


_FUNCTIONS: dict[int, Callable[[Tensor], Tensor]] = {
    Activation.NONE: lambda x: x,
    Activation.RELU: F.relu,
    Activation.RELU6: F.relu6,
    Activation.HARDSIGMOID: F.hardsigmoid,
    Activation.HARDSWISH: F.hardswish,
    Activation.SILU: F.silu,
    Activation.SIGMOID: Tensor.sigmoid,
    Activation.GELU: F.gelu,
    Activation.GELU_TANH: lambda x: F.gelu(x, approximate="tanh"),
}
