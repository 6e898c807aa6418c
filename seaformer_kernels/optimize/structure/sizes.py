"""What code makes of the height and width of a map."""

from __future__ import annotations

import operator

from torch import fx

from seaformer_kernels.ops.map_steps import MOST_STRIDE

_TRIED = range(1, 4 * MOST_STRIDE)  # sides of maps
_ARITHMETIC = frozenset([operator.add, operator.sub, operator.mul, operator.floordiv])


def divided(size: object) -> tuple[fx.Node, int] | None:
    """The map of which a size is the height and width, divided and rounded up, and the divisor.

    None if it is anything else. However the code divides, it is tried with numbers.
    """
    sides = _sides(size)
    if sides is None:
        return None
    asked = [_asked(side, axis) for axis, side in enumerate(sides, 2)]
    if None in asked or asked[0] is not asked[1]:
        return None
    for stride in range(1, MOST_STRIDE + 1):
        if all(_count(side, n) == -(-n // stride) for side in sides for n in _TRIED):
            return asked[0], stride
    return None


def _sides(size: object) -> list[object] | None:
    """Height and width apart; of a node that gives both, where they come from."""
    if isinstance(size, list | tuple) and len(size) == 2:
        return list(size)
    given = _axes(size)
    if given is not None and given[1] == (2, 3):
        return [given, given]
    return None


def _axes(node: object) -> tuple[fx.Node, tuple[int, ...]] | None:
    """The map whose sizes a node gives, and of which axes."""
    if not isinstance(node, fx.Node):
        return None
    if (node.target is getattr and node.args[1] == "shape") or _is_call(node, "size", 1):
        return node.args[0], (0, 1, 2, 3)
    if node.target is operator.getitem and isinstance(node.args[1], slice):
        before = _axes(node.args[0])
        ends = node.args[1].start, node.args[1].stop, node.args[1].step
        if before is not None and not any(isinstance(end, fx.Node) for end in ends):
            return before[0], before[1][node.args[1]]
    return None


def _is_call(node: fx.Node, method: str, arguments: int) -> bool:
    return node.target == method and len(node.args) == arguments and not node.kwargs


def _side(node: fx.Node) -> tuple[fx.Node, int] | None:
    """The map of which a node gives one side, and the axis."""
    if _is_call(node, "size", 2) and isinstance(node.args[1], int):
        return node.args[0], node.args[1] % 4
    if node.target is operator.getitem and isinstance(node.args[1], int):
        given = _axes(node.args[0])
        if given is not None and -len(given[1]) <= node.args[1] < len(given[1]):
            return given[0], given[1][node.args[1]]
    return None


def _asked(side: object, axis: int) -> fx.Node | None:
    """The only map that a side is made of, if that is by way of this axis alone."""
    if isinstance(side, tuple):
        return side[0]
    if not isinstance(side, fx.Node):
        return None
    found = _side(side)
    if found is not None:
        return found[0] if found[1] == axis else None
    if side.target not in _ARITHMETIC or side.kwargs:
        return None
    maps = {_asked(x, axis) for x in side.args if not isinstance(x, int)}
    return maps.pop() if len(maps) == 1 else None


def _count(side: object, n: int) -> int | None:
    """What is made of a side of n pixels."""
    if isinstance(side, int):
        return side
    if isinstance(side, tuple) or _side(side) is not None:
        return n
    try:
        return side.target(*(_count(x, n) for x in side.args))
    except ZeroDivisionError:
        return None
