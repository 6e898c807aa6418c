"""What functions and methods make, as values: rules by what a node calls.

A rule gives None for what it does not understand.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx
from torch.nn import functional as F

from seaformer_kernels.fused import FusedPointwise
from seaformer_kernels.fused.batch_norm import affine_of
from seaformer_kernels.fused.folding import folded_of
from seaformer_kernels.ops._activation import leaky_relu
from seaformer_kernels.optimize.structure.attention import attended
from seaformer_kernels.optimize.structure.sizes import divided
from seaformer_kernels.optimize.structure.values import (
    Activated,
    Averaged,
    Called,
    Convolution,
    Greatest,
    Labels,
    Linear,
    Mean,
    Parts,
    Probabilities,
    Question,
    Resized,
    Slice,
    Sum,
    Value,
)

if TYPE_CHECKING:
    from seaformer_kernels.optimize.structure.read import Values


def is_vector(x: Value) -> bool:
    """Whether a map is known to have one pixel, or none of the axes of a map."""
    while not isinstance(x, Mean):
        pointwise = isinstance(x, Convolution) and x.is_pointwise
        called = isinstance(x, Called) and isinstance(x.block, FusedPointwise)
        if not (pointwise or called or isinstance(x, Activated | Linear)):
            return False
        (x,) = x.inputs
    return True


_Rule = Callable[["Values", fx.Node], "Value | None"]


def argument(node: fx.Node, at: int, name: str, default: object = None) -> object:
    """What a function is called with at that place, or by that name."""
    return node.args[at] if len(node.args) > at else node.kwargs.get(name, default)


def _arguments(node: fx.Node, **defaults: object) -> list[object]:
    """What a function is called with, by the names of its arguments in their order."""
    return [argument(node, at, *item) for at, item in enumerate(defaults.items())]


def _one(values: Values, node: fx.Node) -> Value | None:
    """The only map that a node reads, its first argument."""
    x = argument(node, 0, "input")
    inputs = [n for n in node.all_input_nodes if n.op != "get_attr"]
    return values[x] if isinstance(x, fx.Node) and inputs == [x] else None


def _activation(name: str) -> _Rule:
    """Of a function that has no further arguments but `inplace`."""

    def rule(values: Values, node: fx.Node) -> Value | None:
        x = _one(values, node)
        further = [*node.args[1:], *(v for k, v in node.kwargs.items() if k not in _IGNORED)]
        if x is None or not all(isinstance(value, bool) for value in further):
            return None
        return values.activated((node,), x, name)

    return rule


_IGNORED = ("inplace", "input")


def _gelu(values: Values, node: fx.Node) -> Value | None:
    x = _one(values, node)
    name = GELUS.get(argument(node, 1, "approximate", "none"))
    return values.activated((node,), x, name) if x is not None and name else None


GELUS = {"none": "gelu", "tanh": "gelu_tanh"}  # by what PyTorch calls the approximation


def _leaky_relu(values: Values, node: fx.Node) -> Value | None:
    x, slope = _one(values, node), argument(node, 1, "negative_slope", 0.01)
    name = leaky_relu(slope) if isinstance(slope, int | float) else None
    return values.activated((node,), x, name) if x is not None and name else None


def _clamped(low: str, high: str) -> _Rule:
    def rule(values: Values, node: fx.Node) -> Value | None:
        x = _one(values, node)
        bounds = argument(node, 1, low), argument(node, 2, high)
        name = {(0, None): "relu", (0, 6): "relu6"}.get(bounds)
        return values.activated((node,), x, name) if x is not None and name else None

    return rule


def _arithmetic(kind: str) -> _Rule:
    """Addition, subtraction, multiplication and division, of two maps or a map and a number."""

    def rule(values: Values, node: fx.Node) -> Value | None:
        if len(node.args) != 2 or set(node.kwargs) - {"alpha"}:
            return None
        if node.kwargs.get("alpha", 1) != 1:
            return None
        a, b = (values.attribute(x) for x in node.args)
        if isinstance(a, fx.Node) and isinstance(b, fx.Node):
            maps = values[a], values[b]
            if any(isinstance(x, Question) for x in maps):
                return Question(node, (node,), maps)
            if kind == "add":
                return Sum(node, (node,), maps)
            return values.product(node, *maps) if kind == "mul" else None
        node_first = isinstance(a, fx.Node)
        x, number = (a, b) if node_first else (b, a)
        if not isinstance(x, fx.Node) or not isinstance(number, int | float):
            return None
        if isinstance(values[x], Question):
            return Question(node, (node,), (values[x],))
        if not node_first and kind in ("sub", "div"):
            return None
        factor, shift = {
            "add": (1.0, float(number)),
            "sub": (1.0, -float(number)),
            "mul": (float(number), 0.0),
            "div": (1 / number if number else 0.0, 0.0),
        }[kind]
        return values.linear(node, values[x], factor, shift) if factor else None

    return rule


def _same(values: Values, node: fx.Node) -> Value | None:
    x = _one(values, node)
    return values.same((node,), x) if x is not None and len(node.args) == 1 else None


def _dropout(values: Values, node: fx.Node) -> Value | None:
    x = _one(values, node)
    training = argument(node, 2, "training", True)
    probability = argument(node, 1, "p", 0.5)
    if x is None or (training is not False and probability != 0):
        return None
    return values.same((node,), x)


def _mean(values: Values, node: fx.Node) -> Value | None:
    x = _one(values, node)
    axes, keep = argument(node, 1, "dim"), argument(node, 2, "keepdim", False)
    if x is None or not isinstance(axes, list | tuple) or "dtype" in node.kwargs:
        return None
    if sorted(axis % 4 for axis in axes if isinstance(axis, int)) != [2, 3]:
        return None
    return Mean(node, (node,), (x,), is_map=bool(keep))


def _pool(values: Values, node: fx.Node) -> Value | None:
    x, size = values[argument(node, 0, "input")], argument(node, 1, "output_size")
    if size in (1, (1, 1), [1, 1]):
        return Mean(node, (node,), (x,), is_map=True)
    found = divided(size)
    questions = tuple(values[n] for n in node.all_input_nodes if values[n] is not x)
    if found is None or not all(isinstance(question, Question) for question in questions):
        return None
    like, stride = found
    return Averaged(node, (node,), (x, *questions), values[like], stride)


def _split(values: Values, node: fx.Node) -> Value | None:
    x, sizes, axis = _arguments(node, tensor=None, split_size_or_sections=None, dim=0)
    sizes = tuple(sizes) if isinstance(sizes, list | tuple) else (sizes,)
    if axis not in (1, -3) or not isinstance(x, fx.Node) or not all(type(n) is int for n in sizes):
        return None
    several = isinstance(argument(node, 1, "split_size_or_sections"), list | tuple)
    return Parts(node, (node,), (values[x],), sizes if several else sizes[0])


def _part(node: fx.Node, parts: Parts, at: object) -> Value | None:
    """One of the groups of a map's channels."""
    if not isinstance(at, int) or at < 0:
        return None
    if isinstance(parts.sizes, int):
        first, count = at * parts.sizes, parts.sizes
    else:
        first, count = sum(parts.sizes[:at]), parts.sizes[at]
    return Slice(node, (*parts.nodes, node), parts.inputs, slice(first, first + count))


def _flatten(values: Values, node: fx.Node) -> Value | None:
    x = _one(values, node)
    if x is None or argument(node, 1, "start_dim", 0) != 1 or not is_vector(x):
        return None
    return values.as_vector((node,), x, is_map=False)


def _view(values: Values, node: fx.Node) -> Value | None:
    """A vector with other axes, whose sizes may be asked of maps; or what attention makes."""
    x = values[node.args[0]] if isinstance(node.args[0], fx.Node) else None
    if x is None:
        return None
    if not is_vector(x):
        return attended(values, node)
    sizes = node.args[1:]
    if len(sizes) == 1 and isinstance(sizes[0], list | tuple):
        sizes = tuple(sizes[0])
    others = [values[n] for n in node.all_input_nodes if n is not node.args[0]]
    if not all(isinstance(other, Question) for other in others):
        return None
    asked = tuple(dict.fromkeys(n for other in others for n in _asking(other)))
    if len(sizes) == 4 and tuple(sizes[2:]) == (1, 1):
        return values.as_vector((*asked, node), x, is_map=True)
    if len(sizes) == 2:
        return values.as_vector((*asked, node), x, is_map=False)
    return None


def _asking(question: Value) -> tuple[fx.Node, ...]:
    """The nodes that ask for sizes, and those that count with them."""
    further = [n for x in question.inputs if isinstance(x, Question) for n in _asking(x)]
    return (*further, *question.nodes)


def _indexed(values: Values, node: fx.Node) -> Value | None:
    """v[:, :, None, None], or x[:, first:last]."""
    x = values[node.args[0]]
    if isinstance(x, Question):
        return Question(node, (node,), (x,))
    whole = slice(None, None, None)
    if node.args[1] == (whole, whole, None, None) and is_vector(x):
        return values.as_vector((node,), x, is_map=True)
    if not isinstance(node.args[1], tuple) or len(node.args[1]) < 2 or is_vector(x):
        return None
    images, channels, *others = node.args[1]
    if images != whole or any(axis != whole for axis in others) or len(others) > 2:
        return None
    if not isinstance(channels, slice) or channels.step not in (None, 1):
        return None
    if not all(end is None or type(end) is int for end in (channels.start, channels.stop)):
        return None
    return Slice(node, (node,), (x,), channels)


def _convolved(values: Values, node: fx.Node) -> Value | None:
    x, *parts = _arguments(
        node, input=None, weight=None, bias=None, stride=1, padding=0, dilation=1, groups=1
    )
    weight, bias, stride, padding, dilation, groups = map(values.attribute, parts)
    if not isinstance(x, fx.Node) or x not in values or not isinstance(weight, Tensor):
        return None
    if not (bias is None or isinstance(bias, Tensor)) or isinstance(padding, str):
        return None
    if not all(isinstance(v, int | tuple | list) for v in (stride, padding, dilation, groups)):
        return None
    folded = folded_of(weight, bias)
    return Convolution(
        node, (node,), (values[x],), folded, pair(stride), pair(padding), pair(dilation), groups
    )


def pair(value: int | tuple[int, ...] | list[int]) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    return (value[0], value[-1])


def _normed(values: Values, node: fx.Node) -> Value | None:
    x, *parts = _arguments(
        node,
        input=None,
        running_mean=None,
        running_var=None,
        weight=None,
        bias=None,
        training=False,
        momentum=0.1,
        eps=1e-5,
    )
    mean, variance, weight, bias, training, _, eps = map(values.attribute, parts)
    if training is not False or not isinstance(x, fx.Node) or not isinstance(eps, float):
        return None
    if not isinstance(mean, Tensor) or not isinstance(variance, Tensor):
        return None
    weight, bias = (part if isinstance(part, Tensor) else None for part in (weight, bias))
    return values.normed((node,), values[x], *affine_of(mean, variance, weight, bias, eps))


def _question(values: Values, node: fx.Node) -> Value | None:
    inputs = tuple(values[n] for n in node.all_input_nodes if n.op != "get_attr")
    if node.target is getattr and node.args[1] not in ("shape", "ndim", "dtype", "device"):
        return None
    return Question(node, (node,), inputs)


def _resized(values: Values, node: fx.Node) -> Value | None:
    x, size, scale, mode, align = _arguments(
        node, input=None, size=None, scale_factor=None, mode="nearest", align_corners=None
    )
    further = {"recompute_scale_factor", "antialias"} & {k for k, v in node.kwargs.items() if v}
    if (
        mode not in ("bilinear", "nearest")
        or not isinstance(x, fx.Node)
        or further
        or len(node.args) > 5
    ):
        return None
    factors = None
    if size is None:
        sides = scale if isinstance(scale, tuple | list) else (scale, scale)
        if not all(isinstance(side, int | float) and side == int(side) > 0 for side in sides):
            return None  # the coordinates of other scales are not those of the size
        factors = (int(sides[0]), int(sides[-1]))
    elif isinstance(size, int):
        size = (size, size)
    asked = tuple(values[n] for n in node.all_input_nodes if n is not x)
    if not all(isinstance(question, Question) for question in asked):
        return None
    return Resized(node, (node,), (values[x], *asked), bool(align), size, factors, mode)


def _of_channels(kind: type[Value]) -> _Rule:
    """What is made of the channels of every pixel."""

    def rule(values: Values, node: fx.Node) -> Value | None:
        x = _one(values, node)
        if x is None or argument(node, 1, "dim") not in (1, -3):
            return None
        others = set(node.kwargs) - {"dim", "input", "_stacklevel"}
        if len(node.args) > 2 or any(node.kwargs[name] for name in others):
            return None
        return kind(node, (node,), (x,))

    return rule


def _item(values: Values, node: fx.Node) -> Value | None:
    """Which channel is the greatest, some channels, or a vector with more axes."""
    x, at = values[node.args[0]], node.args[1]
    if isinstance(x, Greatest):
        if at not in (1, "indices") or not x.used_only_by({node}):
            return None
        return Labels(node, (*x.nodes, node), x.inputs)
    if isinstance(x, Parts):
        return _part(node, x, at)
    return _indexed(values, node) if node.target is operator.getitem else _question(values, node)


RULES: dict[object, _Rule] = {
    **dict.fromkeys((F.relu, torch.relu, torch.relu_, "relu", "relu_"), _activation("relu")),
    F.relu6: _activation("relu6"),
    F.hardswish: _activation("hardswish"),
    F.silu: _activation("silu"),
    F.hardsigmoid: _activation("hardsigmoid"),
    **dict.fromkeys((torch.sigmoid, F.sigmoid, "sigmoid", "sigmoid_"), _activation("sigmoid")),
    F.gelu: _gelu,
    **dict.fromkeys((F.leaky_relu, F.leaky_relu_), _leaky_relu),
    F.hardtanh: _clamped("min_val", "max_val"),
    **dict.fromkeys((torch.clamp, torch.clip, "clamp", "clamp_", "clip"), _clamped("min", "max")),
    **dict.fromkeys((operator.add, operator.iadd, torch.add, "add", "add_"), _arithmetic("add")),
    **dict.fromkeys((operator.sub, operator.isub, torch.sub, "sub", "sub_"), _arithmetic("sub")),
    **dict.fromkeys((operator.mul, operator.imul, torch.mul, "mul", "mul_"), _arithmetic("mul")),
    **dict.fromkeys(
        (operator.truediv, operator.itruediv, torch.div, "div", "div_"), _arithmetic("div")
    ),
    **dict.fromkeys(("contiguous", "clone", torch.clone), _same),
    **dict.fromkeys((F.dropout, torch.dropout, F.dropout2d), _dropout),
    **dict.fromkeys((torch.mean, "mean"), _mean),
    F.adaptive_avg_pool2d: _pool,
    **dict.fromkeys((torch.split, "split"), _split),
    **dict.fromkeys((torch.flatten, "flatten"), _flatten),
    **dict.fromkeys(("view", "reshape", torch.reshape), _view),
    **dict.fromkeys((operator.getitem, getattr), _item),
    **dict.fromkeys((F.conv2d, torch.conv2d), _convolved),
    **dict.fromkeys((F.batch_norm, torch.batch_norm), _normed),
    **dict.fromkeys(("size", "dim", operator.floordiv, "numel"), _question),
    **dict.fromkeys((torch.softmax, F.softmax, "softmax"), _of_channels(Probabilities)),
    **dict.fromkeys((torch.argmax, "argmax"), _of_channels(Labels)),
    **dict.fromkeys((torch.max, "max"), _of_channels(Greatest)),
    F.interpolate: _resized,
}
