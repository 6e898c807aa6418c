"""A module's forward written anew, with blocks in place of code that calls no module of its own.

The module keeps its class, its attributes and its methods; only where it is called with just the
arguments that it has to be given, the new forward runs.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import types
from collections.abc import Sequence

from torch import fx, nn

from seaformer_kernels.optimize.structure.regions import Region
from seaformer_kernels.optimize.structure.values import Question

_BLOCKS = "fused_blocks"  # the submodule that holds what the new forward calls


def rewrite(
    module: nn.Module, graph: fx.Graph, replaced: Sequence[tuple[Region, nn.Module]]
) -> None:
    """Gives a module a forward that calls blocks in place of regions of its graph."""
    call_blocks(module, graph, replaced)
    _rename_inputs(module, graph)
    code = graph.python_code("self")
    module.__class__ = _rewritten(type(module), code.src, _portable(code.globals))


def call_blocks(
    module: nn.Module, graph: fx.Graph, replaced: Sequence[tuple[Region, nn.Module]]
) -> None:
    """Lets a graph call blocks, which become submodules, in place of regions of it."""
    held = getattr(module, _BLOCKS, None)
    held = held if isinstance(held, nn.ModuleList) else nn.ModuleList()
    now: dict[fx.Node, fx.Node] = {}  # what makes the output of a region that was there
    module.add_module(_BLOCKS, held)
    for region, block in replaced:
        name = f"{_BLOCKS}.{len(held)}"
        held.append(block)
        last = region.match.output.node
        match = region.match
        inputs = [value.node for value in match.inputs if not isinstance(value, Question)]
        maps = [now.get(node, node) for node in inputs]
        with graph.inserting_after(last):
            arguments = ([maps] if match.takes_list else maps) + list(match.further)
            new = graph.call_module(name, tuple(arguments))
        last.replace_all_uses_with(new)
        now[last] = new
        for node in reversed(region.nodes):
            graph.erase_node(node)
    for node in reversed(list(graph.nodes)):
        if node.op == "get_attr" and not node.users:
            graph.erase_node(node)


def takes_no_more(module: nn.Module) -> bool:
    """Whether a module takes just the arguments that it has to be given."""
    parameters = inspect.signature(module.forward).parameters.values()
    return all(p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)


def has_other_methods(module: nn.Module) -> bool:
    """Whether a class has methods of its own, beside forward, that may call its parts."""
    own = {
        name
        for kind in type(module).__mro__
        if not kind.__module__.startswith("torch.") and kind is not object
        for name, value in vars(kind).items()
        if inspect.isfunction(value) and not name.startswith("__")
    }
    return bool(own - {"forward", "extra_repr"})


def _rename_inputs(module: nn.Module, graph: fx.Graph) -> None:
    """Calls the inputs of a graph as the module does."""
    names = [
        name
        for name, p in inspect.signature(module.forward).parameters.items()
        if p.kind is not p.VAR_KEYWORD
    ]
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    for node, name in zip(placeholders, names, strict=False):
        node.target = name


def _portable(scope: dict[str, object]) -> tuple[tuple[str, object], ...]:
    """The names that code uses, with modules by their names, so that they pickle."""
    return tuple(
        (name, ("module", value.__name__) if isinstance(value, types.ModuleType) else value)
        for name, value in scope.items()
    )


@functools.cache
def _rewritten(kind: type[nn.Module], source: str, scope: tuple) -> type[nn.Module]:
    """A class like `kind`, with the forward of that source."""
    names = {
        name: importlib.import_module(value[1])
        if isinstance(value, tuple) and value[:1] == ("module",)
        else value
        for name, value in scope
    }
    exec(compile(source, f"<rewritten forward of {kind.__name__}>", "exec"), names)
    new = names["forward"]
    needed = inspect.signature(new).parameters.keys() - {"self"}

    @functools.wraps(kind.forward)
    def forward(self: nn.Module, *args: object, **kwargs: object) -> object:
        if len(args) + len(kwargs) == len(needed) and kwargs.keys() <= needed:
            return new(self, *args, **kwargs)
        return kind.forward(self, *args, **kwargs)

    def reduce(self: nn.Module, protocol: int) -> tuple:
        return _new, (kind, source, scope), self.__dict__

    return type(
        kind.__name__,
        (kind,),
        {
            "forward": forward,
            "__reduce_ex__": reduce,
            "__module__": kind.__module__,
            "__doc__": kind.__doc__,
            "rewritten_class": kind,
            "__setstate__": nn.Module.__setstate__,
        },
    )


def _new(kind: type[nn.Module], source: str, scope: tuple) -> nn.Module:
    return nn.Module.__new__(_rewritten(kind, source, scope))
