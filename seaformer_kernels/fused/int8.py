"""Between float maps and the int8 ones of a block, where modules run one by one.

Nothing is lost between two blocks that have one scale for the map between them.
"""

from collections.abc import Callable

from torch import Tensor

from seaformer_kernels.ops._activation import Activation
from seaformer_kernels.ops._int8 import coarse_scale, dequantize, quantize, scales, zero_point


def enter_int8(
    x: Tensor, packed: Tensor, activation: str = "none", *, coarse: bool = False
) -> Tensor:
    """What a block of int8 reads of a float map, which is behind an activation.

    `coarse` says that it is the second of two maps.
    """
    scale = coarse_scale(packed) if coarse else scales(packed)[0]
    return _as_rows(lambda x: quantize(x, scale, _zero(activation)), x)


def leave_int8(q: Tensor, packed: Tensor, activation: str = "none") -> Tensor:
    """The float32 map that a block of int8 wrote, behind an activation."""
    return _as_rows(lambda q: dequantize(q, scales(packed)[1], _zero(activation)), q)


def _as_rows(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Done on dense rows of pixels, or torch.export would ask how strides compare."""
    return function(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _zero(activation: str) -> int:
    return zero_point(Activation[activation.upper()])
