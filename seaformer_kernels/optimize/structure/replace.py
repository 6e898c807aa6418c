"""Puts fused blocks into anyone's model, in place of what does the same."""

from __future__ import annotations

import copy
import functools
import itertools
from collections import Counter
from collections.abc import Callable

from torch import nn

from seaformer_kernels.fused import FusedBlock
from seaformer_kernels.graph import Untraceable
from seaformer_kernels.optimize.paths import is_part, join
from seaformer_kernels.optimize.structure.match import Match
from seaformer_kernels.optimize.structure.regions import Region, Regions
from seaformer_kernels.optimize.structure.rewrite import has_other_methods, rewrite, takes_no_more
from seaformer_kernels.optimize.structure.values import Given

# Makes the block of a match at a path, given whether it reads the image, and whether it takes the
# place of the module there rather than of a part of its code.
Maker = Callable[[Match, str, bool, bool], nn.Module]


class Replacer:
    """Replaces parts of a model, which may be changed in place.

    Args:
        model: in eval mode; modules that are in several places of it stay shared.
        make: makes and keeps account of the blocks that are put in place.

    Attributes:
        reasons: by the names of modules, why nothing was looked for in them as a whole.
        found: how many blocks there are.
    """

    def __init__(self, model: nn.Module, make: Maker):
        self._model = model
        self._make = make
        self._uses = Counter(module for _, module in model.named_modules(remove_duplicate=False))
        self.reasons: dict[str, str] = {}
        self.found = 0

    def replace(self) -> nn.Module:
        """The model with blocks in place of its parts, or the block in place of it."""
        return self._replace(self._model, "")

    def _replace(self, module: nn.Module, path: str) -> nn.Module:
        if isinstance(module, FusedBlock) or not _has_layers(module):
            return module
        try:
            regions = Regions.of(module)
        except Untraceable as reason:
            self.reasons[path] = str(reason)
            for name, child in list(module._modules.items()):
                if child is not None:
                    module._modules[name] = self._replace(child, join(path, name))
            try:  # what is left between its submodules
                regions = Regions.of(module, opaque=lambda m: True)
            except Untraceable:
                return module
        in_code: dict[str, list[Region]] = {}
        for region in regions.found:
            name = regions.whole_call(region.nodes)
            if name is not None and (join(path, name) or not has_other_methods(module)):
                original = module.get_submodule(name)
                block = self._block(region.match, original, join(path, name), path)
                if block is not None:
                    keep_attributes(original, block)
                    if original is module:
                        return block
                    put_in_place(self._model, original, block)
            elif (chain := self._chain_of(regions, region)) is not None:
                self._chain(module, path, regions, region, chain)
            else:
                in_code.setdefault(regions.innermost_call(region.nodes), []).append(region)
        for name, some in in_code.items():
            self._in_code(module, path, regions, name, some)
        return module

    def _block(
        self, match: Match, original: Callable, place: str, path: str, in_code: bool = False
    ) -> nn.Module | None:
        """The block of a match in the graph of the module at a path, if it does the same."""
        return self._made(match, place, path, in_code) if match.agrees(original) else None

    def _made(self, match: Match, place: str, path: str, in_code: bool = False) -> nn.Module:
        self.found += 1
        reads_image = not path and isinstance(match.inputs[0], Given)
        return self._make(match, place, reads_image, not in_code)

    def _chain_of(self, regions: Regions, region: Region) -> list[str] | None:
        """The modules that it calls one by one, if nobody else has them."""
        chain = regions.chain_of_modules(region)
        alone = chain and all(self._uses[regions.module.get_submodule(n)] == 1 for n in chain)
        return chain if alone else None

    def _chain(
        self, module: nn.Module, path: str, regions: Regions, region: Region, chain: list[str]
    ) -> None:
        """Lets the first of some modules do the work of all."""
        first, *others = chain
        original = functools.partial(regions.run, region)
        block = self._block(region.match, original, join(path, first), path)
        if block is not None:
            keep_attributes(module.get_submodule(first), block)
            set_submodule(module, first, block)
            for name in others:
                set_submodule(module, name, nn.Identity())

    def _in_code(
        self, module: nn.Module, path: str, regions: Regions, name: str, some: list[Region]
    ) -> None:
        """Lets the code of a submodule call blocks in place of regions."""
        part = module.get_submodule(name)
        if name and regions.is_chain(some, name):
            runs = [functools.partial(regions.run, region) for region in some]
            if all(one.match.agrees(run) for one, run in zip(some, runs, strict=True)):
                places = [join(path, regions.first_call(region, name)) for region in some]
                blocks = [
                    self._made(region.match, place, path)
                    for region, place in zip(some, places, strict=True)
                ]
                put_in_place(self._model, part, nn.Sequential(*blocks))
                return
        inside = {
            module.get_submodule(call.partition("@")[0])
            for region in some
            for node in region.nodes
            for call in node.meta["calls"]
        }
        try:
            regions = Regions.of(
                part,
                lambda m: m not in inside and _has_tensors(m),
                in_all_modes=False,  # as it is of a graph that was traced so
            )
        except Untraceable as reason:
            self.reasons[join(path, name)] = str(reason)
            return
        replaced = []
        for region in regions.found:
            original = functools.partial(regions.run, region)
            block = self._block(region.match, original, join(path, name), path, in_code=True)
            if block is not None:
                replaced.append((region, block))
        if not replaced:
            return
        private = part is not self._model and not has_other_methods(part)
        if private and takes_no_more(part):
            self._drop(part, regions, [region for region, _ in replaced])
        rewrite(part, regions.graph, replaced)

    def _drop(self, part: nn.Module, regions: Regions, replaced: list[Region]) -> None:
        """Gives the memory of layers back that a rewritten module calls no more."""
        nodes = {node for region in replaced for node in region.nodes}
        called = {node: node.target for node in regions.graph.nodes if node.op == "call_module"}
        left = {name for node, name in called.items() if node not in nodes}
        for name in set(called.values()):
            kept = any(is_part(name, other) for other in left)
            if not kept and self._uses[part.get_submodule(name)] == 1:
                parent, _, last = name.rpartition(".")
                del part.get_submodule(parent)._modules[last]


def keep_attributes(original: nn.Module, block: nn.Module) -> None:
    """Gives a block the numbers and names that code around it may ask the original for."""
    if type(original).__module__.startswith("torch.nn."):
        return
    for name, value in vars(original).items():
        plain = isinstance(value, int | float | str | tuple | None.__class__)
        if plain and not name.startswith("_") and not hasattr(block, name):
            setattr(block, name, copy.copy(value))


def put_in_place(model: nn.Module, original: nn.Module, block: nn.Module) -> None:
    """Puts a block wherever a model has the original."""
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child is original:
                parent._modules[name] = block


def set_submodule(module: nn.Module, path: str, child: nn.Module) -> None:
    """Sets the submodule of that name."""
    parent, _, name = path.rpartition(".")
    module.get_submodule(parent)._modules[name] = child


def _has_tensors(module: nn.Module) -> bool:
    tensors = itertools.chain(module.parameters(), module.buffers())
    return next(tensors, None) is not None


def _has_layers(module: nn.Module) -> bool:
    return any(isinstance(part, nn.Conv2d | nn.Linear) for part in module.modules())
