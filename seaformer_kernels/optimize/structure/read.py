"""Reads the nodes of a graph as values."""

from __future__ import annotations

import dataclasses
import operator

from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrize import is_parametrized

from seaformer_kernels.fused import FusedBlock, Unservable, UpsampledLabels
from seaformer_kernels.fused.batch_norm import scale_and_shift
from seaformer_kernels.fused.folding import fold, folded_of
from seaformer_kernels.graph import Untraceable, check_called_plainly
from seaformer_kernels.ops._activation import leaky_relu
from seaformer_kernels.optimize.structure.rules import GELUS, RULES, is_vector
from seaformer_kernels.optimize.structure.same_padding import padding_of
from seaformer_kernels.optimize.structure.values import (
    Activated,
    Affine,
    Attended,
    Called,
    Convolution,
    Given,
    Labels,
    Linear,
    Mean,
    Other,
    Product,
    Question,
    Reshaped,
    Resized,
    Squeezed,
    Value,
)


def is_leaf(module: nn.Module) -> bool:
    """Whether a module is read as a whole, rather than what its forward does."""
    if isinstance(module, nn.Sequential):
        return False
    if isinstance(module, FusedBlock | UpsampledLabels | nn.Conv2d) or _is_plain_norm(module):
        return True
    return type(module).__module__.startswith("torch.nn.")


def _is_plain_norm(module: nn.Module) -> bool:
    """Whether all that a module does is to normalise by its running statistics."""
    mean = getattr(module, "running_mean", None)
    if not isinstance(mean, Tensor):
        return False
    if type(module).forward is _BatchNorm.forward:
        return True
    try:
        scale_and_shift(module, len(mean))
    except Unservable:
        return False
    return True


class Values:
    """The values of a graph's nodes.

    Args:
        graph: of `graph.trace`.
        module: that it is of.

    Attributes:
        given: the inputs.
        result: what comes out, with nodes in the place of maps: one, or lists, tuples and dicts.

    Raises:
        Untraceable: it changes a map that somebody reads again.
    """

    def __init__(self, graph: fx.Graph, module: nn.Module):
        self._module = module
        self._values: dict[fx.Node, Value] = {}
        self.given: list[Given] = []
        self.result: object = None
        for node in graph.nodes:
            if node.op == "output":
                (self.result,) = node.args
            elif node.op != "get_attr":
                self._values[node] = self._read(node)

    def __getitem__(self, node: fx.Node) -> Value:
        return self._values.get(node) or Other(node, (node,), ())  # a tensor of the module

    def __contains__(self, node: fx.Node) -> bool:
        return node in self._values

    def all(self) -> list[Value]:
        """In the order of the graph; those that are part of others, too."""
        return list(self._values.values())

    def _read(self, node: fx.Node) -> Value:
        if node.op == "placeholder":
            self.given.append(Given(node, (node,), ()))
            return self.given[-1]
        inputs = tuple(self._values[n] for n in node.all_input_nodes if n in self._values)
        self._check_in_place(node)
        other = Other(node, (node,), inputs)
        if node.op == "call_module":
            module = self._module.get_submodule(node.target)
            one_map = len(node.args) == len(inputs) == 1 and not node.kwargs
            try:
                check_called_plainly(module)
            except Untraceable:
                return other
            if isinstance(module, FusedBlock):
                return Called(node, (node,), inputs, module)
            if isinstance(module, UpsampledLabels):
                size = node.args[1] if len(node.args) > 1 else None
                resized = Resized(node, (), inputs, module.align_corners, size, module.scale)
                return Labels(node, (node,), (resized,))
            if not one_map or "forward" in vars(module) or is_parametrized(module):
                return other
            return self._of_module(node, module, inputs[0]) or other
        rule = RULES.get(node.target)
        return (rule(self, node) if rule else None) or other

    def _check_in_place(self, node: fx.Node) -> None:
        """Raises Untraceable if a node changes a map that somebody reads behind it."""
        if not self._is_in_place(node):
            return
        changed = node.args[0] if node.args else node.kwargs.get("input")
        if not isinstance(changed, fx.Node):
            return
        users = list(changed.users)
        readers = [
            u for u in users if u is not node and not isinstance(self._values.get(u), Question)
        ]
        if readers or not node.users or self._may_be_known_elsewhere(changed):
            raise Untraceable("changes a map in place that may be read again")

    def _may_be_known_elsewhere(self, node: fx.Node) -> bool:
        """Whether a result may be memory of an input, or of a map that somebody else reads."""
        while _is_view(node):
            base = node.args[0]
            if not isinstance(base, fx.Node) or set(base.users) != {node}:
                return True
            node = base
        return isinstance(self._values.get(node), Given) or node.op == "get_attr"

    def _is_in_place(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            module = self._module.get_submodule(node.target)
            dropout = isinstance(module, nn.modules.dropout._DropoutNd) and not module.training
            return bool(getattr(module, "inplace", False)) and not dropout
        name = node.target if isinstance(node.target, str) else node.target.__name__
        in_place = name.endswith("_") and not name.endswith("__")
        in_place |= node.target in _IN_PLACE
        return in_place or node.kwargs.get("inplace") is True or "out" in node.kwargs

    def attribute(self, of: object) -> object:
        """The tensor that a node names, or what else is in its place."""
        if isinstance(of, fx.Node) and of.op == "get_attr":
            path, _, name = of.target.rpartition(".")
            return getattr(self._module.get_submodule(path), name)
        return of

    # The values that modules make.

    def _of_module(self, node: fx.Node, module: nn.Module, x: Value) -> Value | None:
        nodes = (node,)
        if isinstance(module, nn.Conv2d):
            padding = padding_of(module)
            if padding is None:
                return None
            window = module.stride, padding, module.dilation, module.groups
            return Convolution(node, nodes, (x,), fold(module), *window)
        if isinstance(getattr(module, "running_mean", None), Tensor):
            try:
                scale, shift = scale_and_shift(module, len(module.running_mean))
            except Unservable:
                return None
            return self.normed(nodes, x, scale, shift)
        kind = type(module)
        if kind is nn.Linear and is_vector(x):
            folded = folded_of(module.weight[:, :, None, None], module.bias)
            return Convolution(node, nodes, (x,), folded)
        if kind in (nn.Identity, nn.Dropout, nn.Dropout2d, nn.AlphaDropout, nn.Dropout3d):
            return self.same(nodes, x)
        if kind is nn.AdaptiveAvgPool2d and module.output_size in (1, (1, 1)):
            return Mean(node, nodes, (x,), is_map=True)
        if kind is nn.Flatten and module.start_dim == 1 and is_vector(x):
            return self.as_vector(nodes, x, is_map=False)
        if kind is nn.Hardtanh and (module.min_val, module.max_val) == (0, 6):
            return self.activated(nodes, x, "relu6")
        name = _ACTIVATIONS.get(kind)
        if kind is nn.GELU:
            name = GELUS.get(module.approximate)
        if kind is nn.LeakyReLU:
            name = leaky_relu(module.negative_slope)
        return self.activated(nodes, x, name) if name else None

    # Values with something folded in, where only the nodes in question read them.

    def same(self, nodes: tuple[fx.Node, ...], x: Value) -> Value:
        """A value under another name."""
        if isinstance(x, Given | Other) or not x.used_only_by(set(nodes)):
            return Linear(nodes[-1], nodes, (x,))
        return dataclasses.replace(x, node=nodes[-1], nodes=(*x.nodes, *nodes))

    def as_vector(self, nodes: tuple[fx.Node, ...], x: Value, is_map: bool) -> Value | None:
        """A vector with or without the axes of a map."""
        while isinstance(x, Linear) and x.is_identity:
            nodes, (x,) = (*x.nodes, *nodes), x.inputs
        if isinstance(x, Convolution | Activated | Called):
            return Reshaped(nodes[-1], nodes, (x,), is_map=is_map)
        if not isinstance(x, Mean) or not x.used_only_by(set(nodes)):
            return None
        return dataclasses.replace(x, node=nodes[-1], nodes=(*x.nodes, *nodes), is_map=is_map)

    def normed(
        self, nodes: tuple[fx.Node, ...], x: Value, scale: Tensor, shift: Tensor
    ) -> Value | None:
        """scale * x + shift of each channel."""
        if (
            isinstance(x, Convolution)
            and x.activation == "none"
            and len(x.folded.bias) == len(scale)
            and x.used_only_by(set(nodes))
        ):
            folded = x.folded.normed(scale, shift)
            return dataclasses.replace(x, node=nodes[-1], nodes=(*x.nodes, *nodes), folded=folded)
        return Affine(nodes[-1], nodes, (x,), scale, shift)

    def activated(self, nodes: tuple[fx.Node, ...], x: Value, name: str) -> Value:
        """An activation of x, made by nodes that read nothing else."""
        if isinstance(x, Attended) and name not in ("relu", "relu6"):
            return Activated(nodes[-1], nodes, (x,), name)
        if (
            isinstance(x, Convolution | Affine | Attended)
            and x.activation == "none"
            and x.used_only_by(set(nodes))
        ):
            return dataclasses.replace(x, node=nodes[-1], nodes=(*x.nodes, *nodes), activation=name)
        return Activated(nodes[-1], nodes, (x,), name)

    def linear(self, node: fx.Node, x: Value, factor: float, shift: float) -> Value:
        """factor * x + shift with the same numbers everywhere."""
        nodes: tuple[fx.Node, ...] = (node,)
        if isinstance(x, Linear) and x.used_only_by(set(nodes)):
            nodes, factor, shift = (*x.nodes, node), x.factor * factor, x.shift * factor + shift
            (x,) = x.inputs
        # relu6(x + 3) / 6, by itself or times x
        if _near(factor, 1 / 6) and shift == 0:
            if (inner := _shifted_relu6(x)) is not None and x.used_only_by(set(nodes)):
                return self.activated((*inner[1], *nodes), inner[0], "hardsigmoid")
            if isinstance(x, Product) and x.used_only_by(set(nodes)):
                for a, b in (x.inputs, x.inputs[::-1]):
                    inner = _shifted_relu6(b)
                    if inner is not None and inner[0] is a and b.used_only_by(set(x.nodes)):
                        return self.activated((*inner[1], *x.nodes, *nodes), a, "hardswish")
        return Linear(node, nodes, (x,), factor, shift)

    def product(self, node: fx.Node, a: Value, b: Value) -> Value:
        """a * b."""
        for x, gate in ((a, b), (b, a)):
            if isinstance(gate, Activated) and gate.inputs == (x,) and gate.used_only_by({node}):
                name = _TIMES_ITSELF.get(gate.activation)
                if name:
                    return self.activated((*gate.nodes, node), x, name)
            squeezed = _squeezed(node, x, gate)
            if squeezed is not None:
                return squeezed
        return Product(node, (node,), (a, b))


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-6 * abs(b)


def _shifted_relu6(x: Value) -> tuple[Value, tuple[fx.Node, ...]] | None:
    """Of relu6(y + 3), y and the nodes behind it."""
    if not isinstance(x, Activated) or x.activation != "relu6":
        return None
    (shifted,) = x.inputs
    if not isinstance(shifted, Linear) or (shifted.factor, shifted.shift) != (1, 3):
        return None
    if not shifted.used_only_by(set(x.nodes)):
        return None
    return shifted.inputs[0], (*shifted.nodes, *x.nodes)


def _squeezed(node: fx.Node, x: Value, gate: Value) -> Squeezed | None:
    """x * gate, if the gate is what squeeze-and-excitation makes of x."""
    behind: tuple[fx.Node, ...] = ()
    if isinstance(gate, Linear) and gate.is_identity:  # other axes
        (inner,) = gate.inputs
        if inner.used_only_by(set(gate.nodes)) and gate.used_only_by({node}):
            gate, behind = inner, gate.nodes
    if not isinstance(gate, Convolution) or gate.activation not in ("sigmoid", "hardsigmoid"):
        return None
    (reduce,) = gate.inputs
    if not isinstance(reduce, Convolution) or not (reduce.is_pointwise and gate.is_pointwise):
        return None
    (mean,) = reduce.inputs
    if not isinstance(mean, Mean) or mean.inputs != (x,):
        return None
    if len(gate.folded.bias) != mean_width(x, reduce):
        return None
    nodes = {*mean.nodes, *reduce.nodes, *gate.nodes, *behind, node}
    if not (
        x.used_only_by(nodes)
        and mean.used_only_by(set(reduce.nodes))
        and reduce.used_only_by(set(gate.nodes))
        and gate.used_only_by({*behind, node})
    ):
        return None
    return Squeezed(
        node, (*mean.nodes, *reduce.nodes, *gate.nodes, *behind, node), (x,), reduce, gate
    )


def mean_width(x: Value, reduce: Convolution) -> int:
    """How many channels the map has of which a layer reads the mean."""
    return len(x.folded.bias) if isinstance(x, Convolution) else reduce.in_channels


def _is_view(node: fx.Node) -> bool:
    """Whether a node's result may lie in the memory of its first argument."""
    if node.op in ("call_module", "placeholder", "get_attr"):
        return False
    name = node.target if isinstance(node.target, str) else node.target.__name__
    return name in _VIEWS and bool(node.args)


_VIEWS = frozenset(
    [
        "getitem",
        "view",
        "reshape",
        "flatten",
        "unflatten",
        "transpose",
        "permute",
        "squeeze",
        "unsqueeze",
        "chunk",
        "split",
        "expand",
        "contiguous",
        "narrow",
        "select",
        "detach",
        "to",
        "float",
        "t",
        "getattr",
    ]
)

_IN_PLACE = frozenset([operator.iadd, operator.isub, operator.imul, operator.itruediv])

_TIMES_ITSELF = {"hardsigmoid": "hardswish", "sigmoid": "silu"}

_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
    nn.Hardsigmoid: "hardsigmoid",
    nn.Hardswish: "hardswish",
    nn.SiLU: "silu",
    nn.Sigmoid: "sigmoid",
}
