"""The window of a convolution or a pool, as csrc/blocks/window.h has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from seaformer_kernels.ops._packed import PADS_SAME, Header

MOST_SIZE = 7
MOST_STRIDE = 4
MOST_DILATION = 128

Padding = Sequence[int] | Literal["same"]
"""Zeros above and below, and left and right of a map; or TensorFlow's "same"."""


@dataclass(frozen=True)
class Window:
    """A window that slides over maps.

    Attributes:
        size: rows and columns.
        stride: of both.
        padding: of rows and of columns, on either side; empty for TensorFlow's "same", which is as
            little as gives an output for every `stride` inputs, the odd one behind the map.
        dilation: of both.
    """

    size: tuple[int, ...]
    stride: int = 1
    padding: tuple[int, ...] = (0, 0)
    dilation: int = 1

    @classmethod
    def of(cls, header: Header) -> Window:
        """That of packed weights."""
        padding = (header.hidden_channels, header.classes)
        return cls(
            (header.kernel_size, header.heads),
            header.stride,
            () if header.flags & PADS_SAME else padding,
            header.key_dim,
        )

    def fields(self) -> dict[str, int]:
        """How a header says it."""
        rows, columns = self.padding or (0, 0)
        return {
            "kernel_size": self.size[0],
            "heads": self.size[1],
            "stride": self.stride,
            "hidden_channels": rows,
            "classes": columns,
            "key_dim": self.dilation,
            "flags": 0 if self.padding else PADS_SAME,
        }

    def check(self, op: str) -> None:
        """Raises ValueError unless there are kernels for it."""
        if len(self.size) != 2 or not all(1 <= size <= MOST_SIZE for size in self.size):
            raise ValueError(
                f"{op}: expected a kernel of 1x1 to {MOST_SIZE}x{MOST_SIZE}, got "
                f"{'x'.join(map(str, self.size))}"
            )
        if not 1 <= self.stride <= MOST_STRIDE or not 1 <= self.dilation <= MOST_DILATION:
            raise ValueError(
                f"{op}: expected a stride of 1 to {MOST_STRIDE} and a dilation of 1 to "
                f"{MOST_DILATION}, got {self.stride} and {self.dilation}"
            )
        if len(self.padding) not in (0, 2) or not all(
            0 <= padding <= self._reach(axis) for axis, padding in enumerate(self.padding)
        ):
            raise ValueError(
                f'{op}: expected padding as "same" or two numbers from 0 to what the window '
                f"reaches, got {list(self.padding)}"
            )

    def rounding(self, axis: int) -> int:
        """What a side grows by before it is divided by the stride and rounded down."""
        if not self.padding:
            return self.stride - 1
        return 2 * self.padding[axis] - self._reach(axis) + self.stride

    def out(self, op: str, x: Tensor) -> tuple[int, int]:
        """Rows and columns of what it makes of a map; raises ValueError if it does not fit."""
        return self._out(op, x, 0), self._out(op, x, 1)

    def pad(self, x: Tensor, value: float = 0.0) -> Tensor:
        """A map with its padding around it."""
        (top, bottom), (left, right) = self._around(x, 0), self._around(x, 1)
        return F.pad(x, (left, right, top, bottom), value=value)

    def _reach(self, axis: int) -> int:
        return (self.size[axis] - 1) * self.dilation + 1

    def _out(self, op: str, x: Tensor, axis: int) -> int:
        length, reach = x.shape[2 + axis], self._reach(axis)
        if not self.padding:
            return (length + self.stride - 1) // self.stride
        beyond = 2 * self.padding[axis] - reach
        if beyond < -1 and length + beyond < 0:  # the first question needs no size
            raise ValueError(
                f"{op}: expected x of at least {-beyond} {('rows', 'columns')[axis]}, got "
                f"{list(x.shape)}"
            )
        return (length + beyond) // self.stride + 1

    def _around(self, x: Tensor, axis: int) -> tuple[int, int]:
        if self.padding:
            return self.padding[axis], self.padding[axis]
        length = x.shape[2 + axis]
        last = -(-length // self.stride) - 1
        total = max(last * self.stride + self._reach(axis) - length, 0)
        return total // 2, total - total // 2


def padding_of(padding: Padding) -> tuple[int, ...]:
    """As ops are called with it."""
    return () if isinstance(padding, str) and padding == "same" else tuple(padding)


def padding_flag(op: str, padding: str) -> int:
    """Of a depthwise convolution's header; raises ValueError unless there is such a padding."""
    if padding not in ("symmetric", "same"):
        raise ValueError(f'{op}: expected padding "symmetric" or "same", got {padding!r}')
    return PADS_SAME if padding == "same" else 0


def check_integers(op: str, **values: object) -> None:
    """Raises TypeError unless all are sequences of integers."""
    for name, value in values.items():
        if not isinstance(value, list | tuple) or not all(isinstance(n, int) for n in value):
            raise TypeError(f"{op}: expected {name} as two integers, got {value!r}")
