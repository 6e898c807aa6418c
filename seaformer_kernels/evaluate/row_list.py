"""Rows that become more with every image."""

from __future__ import annotations

import torch
from torch import Tensor


class RowList:
    """Tensors one below the other, which are joined only when they are asked for.

    Args:
        first: [N, ...]; those that are appended have its other axes and type.
    """

    def __init__(self, first: Tensor):
        self._parts = [first]

    def append(self, rows: Tensor) -> None:
        self._parts.append(rows)

    def joined(self) -> Tensor:
        """All rows so far."""
        if len(self._parts) > 1:
            self._parts = [torch.cat(self._parts)]
        return self._parts[0]
