"""Attention of all pixels of a map, as it is written with matrix products."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import torch
from torch import fx
from torch.nn import functional as F

from seaformer_kernels.optimize.structure.values import Attended, Linear, Question

if TYPE_CHECKING:
    from seaformer_kernels.optimize.structure.read import Values

_RESHAPES = ("reshape", "view", torch.reshape)
_PRODUCTS = ("matmul", torch.matmul, operator.matmul)
_SOFTMAXES = ("softmax", torch.softmax, F.softmax)


def attended(values: Values, node: fx.Node) -> Attended | None:
    """What a node gives the axes of a map, if it is softmax(scale * q k^T) v of heads.

    Queries, keys and values are maps [B, heads * dim, H, W]. What sizes they are reshaped to is
    left for a trial to check.
    """
    reader = _Reader(values)
    mixed = reader.swapped(reader.called(node, _RESHAPES))
    weights, of_values = reader.product(mixed)
    scores = reader.called(weights, _SOFTMAXES)
    if scores is None or reader.axis(weights) not in (-1, 3):
        return None
    queries, of_keys = reader.product(reader.unscaled(scores))
    of_queries = reader.swapped(reader.unscaled(queries))
    q, k = reader.heads(of_queries), reader.heads(of_keys)
    v = reader.heads(reader.swapped(of_values))
    if q is None or k is None or v is None or q[1:] != k[1:] or v[1] != q[1]:
        return None
    maps = tuple(values[x[0]] for x in (q, k, v))
    questions = dict.fromkeys(
        values[n] for part in reader.nodes for n in part.all_input_nodes if n in values
    )
    asked = tuple(x for x in questions if isinstance(x, Question))
    return Attended(node, tuple(reader.nodes), (*maps, *asked), q[1], q[2], reader.scale)


class _Reader:
    """Goes from nodes to those that they are made of; from None, which is any other, to None.

    Attributes:
        nodes: that were passed.
        scale: the product of the factors that were.
    """

    def __init__(self, values: Values):
        self._values = values
        self.nodes: list[fx.Node] = []
        self.scale = 1.0

    def called(self, node: fx.Node | None, targets: tuple[object, ...]) -> fx.Node | None:
        """The first argument of a call of one of these."""
        if node is None or node.target not in targets or not isinstance(node.args[0], fx.Node):
            return None
        self.nodes.append(node)
        return node.args[0]

    def product(self, node: fx.Node | None) -> tuple[fx.Node | None, fx.Node | None]:
        """Both factors of a matrix product."""
        first = self.called(node, _PRODUCTS)
        second = node.args[1] if first is not None and len(node.args) == 2 else None
        return (first, second) if isinstance(second, fx.Node) else (None, None)

    def swapped(self, node: fx.Node | None) -> fx.Node | None:
        """What has its last two axes exchanged."""
        if node is None:
            return None
        axes = node.args[1:]
        if len(axes) == 1 and isinstance(axes[0], list | tuple):
            axes = tuple(axes[0])
        if node.target in ("permute", torch.permute) and axes == (0, 1, 3, 2):
            return self.called(node, (node.target,))
        if node.target in ("transpose", torch.transpose) and set(axes) in ({2, 3}, {-2, -1}):
            return self.called(node, (node.target,))
        return None

    def unscaled(self, node: fx.Node | None) -> fx.Node | None:
        """What a number was multiplied with, or the node itself."""
        value = self._values[node] if node is not None else None
        if isinstance(value, Linear) and value.shift == 0:
            self.nodes += value.nodes
            self.scale *= value.factor
            return value.inputs[0].node
        return node

    def heads(self, node: fx.Node | None) -> tuple[fx.Node, int, int] | None:
        """Of a map that is reshaped to heads: the map, how many they are, channels of each."""
        sizes = node.args[1:] if node is not None else ()
        if len(sizes) == 1 and isinstance(sizes[0], list | tuple):
            sizes = tuple(sizes[0])
        x = self.called(node, _RESHAPES)
        if x is None or len(sizes) != 4 or not all(isinstance(n, int) for n in sizes[1:3]):
            return None
        return x, sizes[1], sizes[2]

    @staticmethod
    def axis(softmax: fx.Node) -> object:
        """Of a softmax that has no further arguments."""
        given = {**dict(zip(("dim", "dtype"), softmax.args[1:], strict=False)), **softmax.kwargs}
        others = [given[name] for name in given if name not in ("dim", "_stacklevel")]
        return given.get("dim") if not any(others) else None
