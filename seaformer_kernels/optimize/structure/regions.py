"""The parts of a module's graph that one op each can take over."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, fx, nn

from seaformer_kernels.graph import trace
from seaformer_kernels.optimize.paths import is_part
from seaformer_kernels.optimize.structure.match import Match, matches
from seaformer_kernels.optimize.structure.read import Values, is_leaf


@dataclass(frozen=True)
class Region:
    """Nodes that one op can take over.

    Attributes:
        match: the op.
        nodes: in the order of the graph.
    """

    match: Match
    nodes: tuple[fx.Node, ...]


class Regions:
    """What ops can take over of a module.

    Args:
        module: in eval mode.
        graph: of what it computes.

    Attributes:
        found: regions, none of which has a node of another, in the order of the graph.

    Raises:
        Untraceable: the module changes a map that it reads again.
    """

    def __init__(self, module: nn.Module, graph: fx.Graph):
        self.module = module
        self.graph = graph
        self.values = Values(graph, module)
        order = {node: i for i, node in enumerate(graph.nodes)}
        taken: set[fx.Node] = set()
        self.found: list[Region] = []
        for value in reversed(self.values.all()):
            if self.values[value.node] is not value or value.node in taken:
                continue
            for match in matches(value):
                nodes = match.nodes
                if not nodes & taken:
                    taken |= nodes
                    self.found.append(Region(match, tuple(sorted(nodes, key=order.get))))
                    break
        self.found.reverse()
        self._calls = Counter(
            key for node in self.graph.nodes if node.op != "get_attr" for key in _calls(node)
        )

        self._whole = {
            key
            for region in self.found
            for key in _shared_calls(region.nodes)
            if self._calls[key] == len(region.nodes)
        }
        self._calls_in: dict[str, list[tuple[str, ...]]] = {}  # of nodes, by modules around them
        for calls in map(_calls, self.graph.nodes):
            for name in {around for key in calls for around in _around(_name_of(key))}:
                self._calls_in.setdefault(name, []).append(calls)

    @classmethod
    def of(
        cls,
        module: nn.Module,
        opaque: Callable[[nn.Module], bool] = lambda m: False,
        in_all_modes: bool = True,
    ) -> Regions:
        """Those of a module's forward, opaque ones in it not looked into.

        Args:
            in_all_modes: as `trace` has it; False for a part of what was traced so.

        Raises:
            Untraceable: also if there is no graph of it.
        """
        return cls(module, trace(module, lambda m: is_leaf(m) or opaque(m), in_all_modes))

    def whole_call(self, nodes: Collection[fx.Node]) -> str | None:
        """The name of the outermost submodule of which each call is a region, one of these nodes.

        "" for the module itself.
        """
        for key in _shared_calls(nodes):
            name = _name_of(key)
            if key in self._whole and self._is_always_whole(name):
                return name
        return None

    def _is_always_whole(self, name: str) -> bool:
        """Whether whatever is done in a submodule is done in calls that are regions."""
        return all(
            any(key in self._whole for key in calls if _name_of(key) == name)
            for calls in self._calls_in[name]
        )

    def innermost_call(self, nodes: Collection[fx.Node]) -> str:
        """The name of the innermost submodule that does what these nodes do, and more."""
        return _name_of(_shared_calls(nodes)[-1])

    def first_call(self, region: Region, name: str) -> str:
        """The name of what a region first calls inside of a submodule."""
        calls = _calls(region.nodes[0])
        below = [_name_of(key) for key in calls if len(key) > len(name)]
        return below[0] if below else name

    def is_chain(self, regions: Sequence[Region], name: str) -> bool:
        """Whether a submodule does just these regions, each with what the one before makes."""
        nodes = [node for region in regions for node in region.nodes]
        if self._calls[name] != len(nodes) or not self._is_done_by(name, nodes):
            return False
        return all(
            before.match.output.node is value.node
            for before, after in itertools.pairwise(regions)
            for value in after.match.inputs
        )

    def run(self, region: Region, *maps: Tensor) -> object:
        """What a region's nodes make of its inputs."""
        made: dict[fx.Node, object] = {
            value.node: x for value, x in zip(region.match.inputs, maps, strict=True)
        }

        def made_by(node: fx.Node) -> object:
            if node not in made:  # of the region, or a question about its inputs
                made[node] = self._run(node, made_by)
            return made[node]

        for node in region.nodes:
            made_by(node)
        return made[region.match.output.node]

    def _run(self, node: fx.Node, made_by: Callable[[fx.Node], object]) -> object:
        if node.op == "get_attr":
            return self.values.attribute(node)
        args, kwargs = (fx.node.map_arg(x, made_by) for x in (node.args, node.kwargs))
        if node.op == "call_module":
            return self.module.get_submodule(node.target)(*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], node.target)(*args[1:], **kwargs)
        return node.target(*args, **kwargs)

    def chain_of_modules(self, region: Region) -> list[str] | None:
        """The submodules that do what its nodes do, each with what the one before makes.

        None if there is code between them.
        """
        inside = Counter(key for node in region.nodes for key in _calls(node))
        whole = {key for key, count in inside.items() if count == self._calls[key]}
        chain: list[str] = []
        last = region.match.inputs[0].node
        reads: set[fx.Node] = set()
        for node in region.nodes:
            unit = next((key for key in _calls(node) if key in whole), None)
            if unit is None:
                return None
            if not chain or chain[-1] != unit:
                reads, entry = set(), last
                chain.append(unit)
            inputs = [x for x in node.all_input_nodes if x.op != "get_attr"]
            if any(x is not entry and x not in reads for x in inputs):
                return None
            reads.add(node)
            last = node
        alone = all("@" not in name and self._is_used_only_by(name, region) for name in chain)
        return chain if alone else None

    def _is_used_only_by(self, name: str, region: Region) -> bool:
        """Whether all that is done in a submodule is part of a region, in one call."""
        return f"{name}@1" not in self._calls and self._is_done_by(name, region.nodes)

    def _is_done_by(self, name: str, nodes: Collection[fx.Node]) -> bool:
        """Whether these nodes are all that is done in a submodule."""
        return all(
            node in nodes
            for node in self.graph.nodes
            if node.op != "get_attr" and any(is_part(_name_of(key), name) for key in _calls(node))
        )


def _name_of(call: str) -> str:
    """The name of the submodule that is called."""
    return call.partition("@")[0]


def _around(name: str) -> Iterator[str]:
    """The names of a submodule and of all that it is part of."""
    yield ""
    parts = name.split(".") if name else []
    yield from itertools.accumulate(parts, "{}.{}".format)


def _calls(node: fx.Node) -> tuple[str, ...]:
    return node.meta.get("calls", ())


def _shared_calls(nodes: Collection[fx.Node]) -> list[str]:
    """The calls that all nodes are in, from the outermost in."""
    first, *others = (_calls(node) for node in nodes)
    return [key for key in first if all(key in calls for calls in others)]
