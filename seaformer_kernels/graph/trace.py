"""A module's forward as a `torch.fx` graph, if it does the same for every input of its kind."""

from __future__ import annotations

import copy
import functools
import inspect
import itertools
import operator
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

_MOST_INPUTS = 8


class Untraceable(Exception):
    """Why a forward is no fixed list of operations, as the end of a sentence about its module."""


def trace(
    module: nn.Module, is_leaf: Callable[[nn.Module], bool], in_all_modes: bool = True
) -> fx.Graph:
    """What a module computes from the arguments that it has to be given, the others left out.

    The graph names submodules and tensors as the module does. Assertions are not part of it. A
    node's `meta["calls"]` has the calls of submodules that it is in, from the outermost in: names,
    with @1 behind that of a second call.

    Args:
        module: in the mode in which it will be called; it is called, with placeholders.
        is_leaf: which modules become one node, whatever is inside; those with an attribute
            `makes_map` that is true give maps of four axes.
        in_all_modes: whether to look if it does the same with and without gradients.

    Raises:
        Untraceable: it branches on its input, or on whether gradients are wanted; it draws random
            numbers, makes tensors or keeps something; or a module in it has hooks.
    """
    is_leaf = functools.cache(is_leaf)
    with torch.no_grad():
        graph = _trace(module, is_leaf)
    for mode, what in _MODES.items() if in_all_modes else ():
        with mode():
            if _told(graph) != _told(_trace(module, is_leaf)):
                raise Untraceable(f"does something else {what}")
    return graph


_MODES: dict[Callable[[], Any], str] = {
    torch.enable_grad: "where gradients are wanted",
    torch.inference_mode: "in inference mode",
}


def inputs_of(module: nn.Module) -> int:
    """How many arguments a module has to be given.

    Raises:
        Untraceable: any number.
    """
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        raise Untraceable("has a forward without a signature") from None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        raise Untraceable("takes any number of arguments")
    needed = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    if any(p.kind is p.KEYWORD_ONLY for p in needed) or len(needed) > _MOST_INPUTS:
        raise Untraceable("takes other arguments than some maps")
    return max(len(needed), 1)


def check_called_plainly(module: nn.Module) -> None:
    """Raises Untraceable if a call of a module does more than its forward.

    Hooks with an attribute `only_converts` do not count, which change the types of maps.
    """
    hooks = itertools.chain(
        module._forward_hooks.values(),
        module._forward_pre_hooks.values(),
        module._backward_hooks.values(),
        module._backward_pre_hooks.values(),
    )
    if not all(getattr(hook, "only_converts", False) for hook in hooks):
        raise Untraceable(f"has a hook ({type(module).__name__})")


class _Call(nn.Module):
    """Calls a module, as fx looks into what a module calls, hooks included, but not at its own."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module


def _caller(inputs: int) -> type[_Call]:
    """A class that calls its module with so many arguments."""
    names = ", ".join(f"x{i}" for i in range(inputs))
    scope: dict[str, Callable] = {}
    exec(f"def forward(self, {names}):\n    return self.module({names})", scope)
    return type("_Call", (_Call,), {"forward": scope["forward"]})


_CALLERS = tuple(_caller(inputs) for inputs in range(1, _MOST_INPUTS + 1))


def _in_place(target: Callable) -> Callable[[fx.Proxy, object], fx.Proxy]:
    def method(self: fx.Proxy, other: object) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", target, (self, other), {})

    return method


class _Map(fx.Proxy):
    """What stands for a tensor; fx's own makes `y + x` of `y += x`, which others see in y."""

    __iadd__ = _in_place(operator.iadd)
    __isub__ = _in_place(operator.isub)
    __imul__ = _in_place(operator.imul)
    __itruediv__ = _in_place(operator.itruediv)

    def __len__(self) -> int:
        length = _length(self.node)
        return super().__len__() if length is None else length


class _Tracer(fx.Tracer):
    def __init__(self, is_leaf: Callable[[nn.Module], bool]):
        super().__init__()
        self._is_leaf = is_leaf

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Map(node, self)

    def iter(self, obj: fx.Proxy) -> Iterator[fx.Proxy]:
        # Sizes of maps, as in tuple(x.shape[2:]); unpacking, a, b = x, needs no length known.
        length = _length(obj.node)
        return super().iter(obj) if length is None else iter([obj[i] for i in range(length)])

    def trace(self, root: nn.Module) -> fx.Graph:
        self._names = {id(tensor): name for name, tensor in root.named_parameters()}
        return super().trace(root)

    def getattr(self, attr: str, attr_val: object, parameter_proxy_cache: dict) -> object:
        # As fx does it, which looks through all parameters for each.
        name = self._names.get(id(attr_val)) if isinstance(attr_val, nn.Parameter) else None
        if name is None:
            return attr_val
        if name not in parameter_proxy_cache:
            parameter_proxy_cache[name] = self.create_proxy("get_attr", name, (), {})
        return parameter_proxy_cache[name]

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return self._is_leaf(m)

    def call_module(self, m: nn.Module, forward: Callable, args: tuple, kwargs: dict) -> object:
        if isinstance(m, nn.Sequential) and m not in self.submodule_paths:  # a slice of one
            return forward(*args, **kwargs)
        if not self.is_leaf_module(m, ""):
            check_called_plainly(m)
        made = super().call_module(m, forward, args, kwargs)
        if isinstance(made, fx.Proxy) and made.node.op == "call_module":
            made.node.meta["makes_map"] = isinstance(m, _OF_MAPS) or getattr(m, "makes_map", False)
        return made


_AXES = 4  # of a map
_OF_MAPS = nn.BatchNorm2d | nn.UpsamplingBilinear2d  # convolutions take a single image, too


def _length(node: fx.Node) -> int | None:
    """How many sizes a node gives, if they are those of a map."""
    shape = node.target is getattr and node.args[1:] == ("shape",)
    if shape or (node.target == "size" and len(node.args) == 1 and not node.kwargs):
        return _AXES if _is_map(node.args[0]) else None
    if node.target is operator.getitem and isinstance(node.args[1], slice):
        before = _length(node.args[0])
        ends = node.args[1].start, node.args[1].stop, node.args[1].step
        if before is not None and all(end is None or isinstance(end, int) for end in ends):
            return len(range(before)[node.args[1]])
    return None


def _is_map(node: object) -> bool:
    """Whether a node is known to make a map, [B, C, H, W]."""
    if not isinstance(node, fx.Node):
        return False
    if node.op == "call_module":
        return bool(node.meta.get("makes_map"))
    if node.target is F.interpolate:  # bilinear is for no other tensors
        return "bilinear" in (*node.args, *node.kwargs.values())
    if node.target in _ARITHMETIC:
        maps = [x for x in node.args if isinstance(x, fx.Node)]
        return bool(maps) and all(map(_is_map, maps))
    return False


_ARITHMETIC = frozenset(
    getattr(operator, name) for name in ["add", "sub", "mul", "truediv", "iadd", "isub", "imul"]
)


def _trace(module: nn.Module, is_leaf: Callable[[nn.Module], bool]) -> fx.Graph:
    caller = _CALLERS[inputs_of(module) - 1](module)
    random = torch.get_rng_state()
    before = {part: dict(vars(part)) for part in module.modules()}
    held = [(value, copy.copy(value)) for value in _containers(before)]
    children = {part: dict(part._modules) for part in before}
    tensors = {part: list(_tensors(part)) for part in before}
    known = [x for some in tensors.values() for x in some if x is not None]
    versions = [(x, x._version) for x in known if not x.is_inference()]
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = _Tracer(lambda m: m is not module and is_leaf(m)).trace(caller)
    except Untraceable:
        raise
    except Exception as error:  # whatever a forward may raise when it is given no tensors
        reason = str(error).strip().partition("\n")[0].partition(". ")[0]
        raise Untraceable(f"cannot be traced ({type(error).__name__}: {reason})") from None
    finally:
        changed = _restore(before) | _refill(held)
        if any(x._version != version for x, version in versions):
            changed = True
            for buffer, copied in buffers:
                buffer.copy_(copied)
        drawn = not torch.equal(random, torch.get_rng_state())
        torch.set_rng_state(random)
    same = all(
        children[part] == part._modules
        and all(a is b for a, b in zip(tensors[part], _tensors(part), strict=False))
        for part in before
    )
    if changed or not same:
        raise Untraceable("keeps something when it is called")
    if drawn:
        raise Untraceable("draws random numbers")
    if any(name.startswith("_tensor_constant") for name in vars(caller)):
        raise Untraceable("makes tensors of its own")
    for node in graph.nodes:
        if node.op in ("call_module", "get_attr"):
            node.target = node.target.removeprefix("module.")
        # "module" is the module itself, and "module.a@1" the second call of its submodule a.
        keys = node.meta.get("nn_module_stack", ())
        calls = (key.removeprefix("module").removeprefix(".") for key in keys)
        inside = node.op not in ("placeholder", "output")
        node.meta["calls"] = tuple(calls) or (("",) if inside else ())
    _drop_assertions(graph)
    return graph


def _tensors(module: nn.Module) -> Iterator[Tensor | None]:
    yield from module._parameters.values()
    yield from module._buffers.values()


def _containers(attributes: dict[nn.Module, dict[str, object]]) -> Iterator[list | dict | set]:
    """What forwards may fill: lists and the like, without those in which modules keep parts."""
    for values in attributes.values():
        for name, value in values.items():
            if isinstance(value, list | dict | set) and not name.startswith("_"):
                yield value


def _refill(held: list[tuple[Any, Any]]) -> bool:
    """Gives containers back what they held; returns whether a call changed any."""
    changed = False
    for value, copied in held:
        if len(value) != len(copied):
            changed = True
            value.clear()
            (value.extend if isinstance(value, list) else value.update)(copied)
    return changed


def _restore(before: dict[nn.Module, dict[str, object]]) -> bool:
    """Puts attributes back that a call set; returns whether there were any."""
    changed = False
    for module, attributes in before.items():
        now = vars(module)
        if len(now) != len(attributes) or any(
            name not in attributes or value is not attributes[name] for name, value in now.items()
        ):
            changed = True
            now.clear()
            now.update(attributes)
    return changed


# What assertions ask of maps, which is of no more use when they are gone.
_QUESTIONS: frozenset[object] = frozenset(
    {getattr, "size", "dim", "numel", "ndimension"}
    | {getattr(operator, name) for name in ["getitem", "eq", "ne", "lt", "gt", "le", "ge", "mod"]}
)


def _drop_assertions(graph: fx.Graph) -> None:
    for node in reversed(list(graph.nodes)):
        if not node.users and (node.target is torch._assert or node.target in _QUESTIONS):
            graph.erase_node(node)


def _told(graph: fx.Graph) -> list[tuple[str, ...]]:
    return [(n.op, str(n.target), str(n.args), str(n.kwargs)) for n in graph.nodes]
