"""From plain blocks to simulated ones, and from these to fused ones."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from seaformer_kernels.data import IMAGENET_MEAN, IMAGENET_STD
from seaformer_kernels.fused import (
    FoldedInvertedResidual,
    FoldedLastFusion,
    FoldedLightHead,
    FoldedSeaAttention,
    FusedBlock,
    FusedLightHead,
    FusedSeaAttention,
    Unservable,
    check_forward,
    folded_gate,
    folded_mlp,
    folded_stem,
)
from seaformer_kernels.modules import (
    FusionGate,
    InvertedResidual,
    LightHead,
    Mlp,
    SeaLayer,
    SegmentationHead,
    Stem,
)
from seaformer_kernels.ops._element import name_of
from seaformer_kernels.optimize.checks import copied
from seaformer_kernels.optimize.convert import Converter
from seaformer_kernels.optimize.paths import is_part, join
from seaformer_kernels.optimize.report import Entry
from seaformer_kernels.optimize.structure.probe import does_the_same
from seaformer_kernels.quantize.calibration import Normalisation
from seaformer_kernels.quantize.simulate import (
    Map,
    SimulatedBlock,
    SimulatedInvertedResidual,
    SimulatedSeaLayer,
    SimulatedStem,
)
from seaformer_kernels.quantize.simulate_gated import (
    SimulatedFusionGate,
    SimulatedLastFusion,
    SimulatedSeaAttention,
    SimulatedSegmentationHead,
)
from seaformer_kernels.quantize.simulate_light_head import SimulatedLightHead


class Simulator:
    """Puts simulated blocks in place of plain ones, in a model that may be changed.

    Args:
        mean, std: with which images are normalised.
        raw: whether the int8 model is to take raw RGB values.
        skip: names of parts that stay as they are.

    Attributes:
        blocks: the simulated ones by path.
    """

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], *, raw: bool, skip: Collection[str]
    ):
        self._stem = (tuple(mean), tuple(std), raw)
        self._skip = skip
        self._results: dict[object, nn.Module] = {}  # so that shared modules stay shared
        self.blocks: dict[str, SimulatedBlock] = {}

    def convert(self, module: nn.Module, path: str = "") -> nn.Module:
        """What takes the place of a module."""
        if module in self._results:
            return self._results[module]
        try:
            result = self._block(module, path)
        except Unservable:  # the converter to fused blocks will say so
            result = None
        self._results[module] = module if result is None else result
        if result is None:
            for name, child in module._modules.items():
                if child is not None:
                    module._modules[name] = self.convert(child, f"{path}.{name}".lstrip("."))
        return self._results[module]

    def _block(self, module: nn.Module, path: str) -> nn.Module | None:
        half = f"{path}.mlp".lstrip(".")
        at = half if isinstance(module, SeaLayer) else path
        if any(is_part(at, name) for name in self._skip):
            return None
        if isinstance(module, SeaLayer):
            check_forward(module, SeaLayer)
            mlp = SimulatedInvertedResidual(folded_mlp(module.mlp), True, "Mlp")
            attn = self._attention(module.attn, f"{path}.attn".lstrip("."))
            self.blocks[half] = mlp
            return SimulatedSeaLayer(attn, mlp)
        if isinstance(module, SegmentationHead):
            return self._head(module, path)
        if isinstance(module, LightHead):
            return self._light_head(module, path)
        if isinstance(module, FusionGate):
            self.blocks[path] = gate = SimulatedFusionGate(*folded_gate(module))
            return gate
        block: SimulatedBlock
        if isinstance(module, InvertedResidual):
            folded = FoldedInvertedResidual.of(module)
            block = SimulatedInvertedResidual(folded, module.residual, "InvertedResidual")
        elif isinstance(module, Mlp):
            block = SimulatedInvertedResidual(folded_mlp(module), False, "Mlp")
        elif isinstance(module, Stem):
            block = SimulatedStem(folded_stem(module), *self._stem)
        else:
            return None
        self.blocks[path] = block
        return block

    def _attention(self, module: nn.Module, path: str) -> nn.Module:
        """Simulated, with the residual of its layer, or as it is."""
        if any(is_part(path, name) for name in self._skip):
            return module
        try:
            block = SimulatedSeaAttention(FoldedSeaAttention.of(module), residual=True)
        except Unservable:
            return module
        self.blocks[path] = block
        return block

    def _head(self, module: SegmentationHead, path: str) -> nn.Module:
        folded, gates = FoldedLastFusion.of(module)
        names = [step.path for step in module.graph.steps]
        converted = [
            self.convert(gate, f"{path}.{name}".lstrip("."))
            for gate, name in zip(gates, names, strict=False)
        ]
        last = SimulatedLastFusion(folded, module.dropout)
        self.blocks[path] = last
        return SimulatedSegmentationHead(last, converted)

    def _light_head(self, module: LightHead, path: str) -> nn.Module | None:
        if any(is_part(name, path) for name in self._skip):  # its towers are not parted
            return None
        head = SimulatedLightHead(FoldedLightHead.of(module))
        self.blocks |= {join(path, name): block for name, block in head.blocks().items()}
        return head


def prepared(
    op: str,
    model: nn.Module,
    skip: Collection[str],
    given: tuple[Sequence[float] | None, Sequence[float] | None],
) -> tuple[nn.Module, dict[str, SimulatedBlock], Normalisation]:
    """A copy of a plain model with simulated blocks, these by path, and its mean and std.

    Args:
        given: mean and std, if the int8 model is to take raw RGB values.

    Raises:
        ValueError: there are none, or skip names no part of the model.
    """
    skip = (skip,) if isinstance(skip, str) else tuple(skip)
    for name in skip:
        if not any(is_part(path, name) for path, _ in model.named_modules()):
            raise ValueError(f"{op}: expected skip to name parts of the model, got {name!r}.")
    facts = getattr(model, "facts", None)
    usual = (facts.mean, facts.std) if facts else (IMAGENET_MEAN, IMAGENET_STD)
    mean, std = given
    known = usual if mean is None or std is None else (mean, std)
    simulator = Simulator(*known, raw=mean is not None, skip=skip)
    network = simulator.convert(copied(model))
    if not simulator.blocks:
        raise ValueError(
            f"{op}: expected a model with blocks that there are int8 kernels for (Stem, "
            f"InvertedResidual, SeaAttention, ...), got {type(model).__name__} without any"
            f"{' that is not skipped' if skip else ''}."
        )
    return network, simulator.blocks, known


class ToFused(Converter):
    """Converts a model with simulated blocks, which may be changed, to a fused one.

    Args:
        mean, std: for plain stems.
        rest: type of what is not int8.
        stays: why blocks that could be int8 are not, by path.
    """

    def __init__(
        self,
        mean: Sequence[float] | None,
        std: Sequence[float] | None,
        rest: torch.dtype,
        stays: dict[str, str],
    ):
        super().__init__(mean, std, rest)
        self._stays = stays

    @classmethod
    def of(
        cls,
        network: nn.Module,
        normalisation: tuple[Sequence[float] | None, Sequence[float] | None],
        rest: torch.dtype,
        stays: dict[str, str],
        by_structure: bool = True,
    ) -> tuple[nn.Module, ToFused]:
        """The fused form of a network, which stays as it is, and what keeps account of it.

        Args:
            by_structure: whether what is no block of ours is looked for, too.
        """
        converter = cls(*normalisation, rest, stays)
        module = converter.convert(copy.deepcopy(network).requires_grad_(False))
        return (converter.convert_by_structure(module) if by_structure else module), converter

    def convert(self, module: nn.Module, path: str = "") -> nn.Module:
        if module not in self._results and isinstance(module, SimulatedSeaLayer):
            self._results[module] = self._simulated_layer(module, path)
        elif module not in self._results and isinstance(module, SimulatedSegmentationHead):
            self._results[module] = self._simulated_head(module, path)
        elif module not in self._results and isinstance(module, SimulatedLightHead):
            self._results[module] = self._simulated_light_head(module, path)
        elif module not in self._results and isinstance(module, SimulatedBlock):
            self._results[module] = self._simulated(module, path)
        return super().convert(module, path)

    def _simulated(self, block: SimulatedBlock, path: str) -> FusedBlock:
        result = block.fused(self._dtype if path in self._stays else torch.int8)
        self.entries.append(Entry(path, block.kind, dtype=name_of(result.dtype)))
        return result

    def _simulated_layer(self, layer: SimulatedSeaLayer, path: str) -> nn.Module:
        at = f"{path}.attn".lstrip(".")
        attn: nn.Module
        if isinstance(layer.attn, SimulatedBlock):
            attn = self._simulated(layer.attn, at)
            return self._layer(attn, layer, path)
        fused: FusedBlock
        try:
            attn = fused = FusedSeaAttention.of(layer.attn, residual=True, dtype=self._dtype)
        except Unservable as error:
            self.entries.append(Entry(at, "SeaAttention", str(error)))
            attn = _WithResidual(super().convert(layer.attn, at))
        else:
            self.entries.append(Entry(at, "SeaAttention", dtype=name_of(fused.dtype)))
        return self._layer(attn, layer, path)

    def _layer(self, attn: nn.Module, layer: SimulatedSeaLayer, path: str) -> nn.Module:
        mlp = self._simulated(layer.mlp, f"{path}.mlp".lstrip("."))
        return nn.Sequential(OrderedDict(attn=attn, mlp=mlp))

    def _simulated_head(self, head: SimulatedSegmentationHead, path: str) -> FusedBlock:
        for step in head.graph.steps:
            gate = head.get_submodule(step.path)
            setattr(head, step.path, self.convert(gate, f"{path}.{step.path}".lstrip(".")))
        result = head.fused(self._dtype if path in self._stays else torch.int8)
        self.entries.append(Entry(path, head.last.kind, dtype=name_of(result.dtype)))
        return result

    def _simulated_light_head(self, head: SimulatedLightHead, path: str) -> FusedLightHead:
        blocks = {
            name: self._simulated(block, join(path, name)) for name, block in head.blocks().items()
        }
        class_tower, box_tower = (
            [
                [blocks[f"{tower}.{layer}.{level}"] for level in range(head.levels)]
                for layer in range(head.depth)
            ]
            for tower in ("class_tower", "box_tower")
        )
        outputs = head.fused_outputs(self._dtype)
        for name, block in outputs.items():
            self.entries.append(Entry(join(path, name), block.kind, dtype=name_of(block.dtype)))
        return FusedLightHead(class_tower, box_tower, *outputs.values())


def keeps_by_structure(network: nn.Module) -> bool:
    """Whether a network with simulated blocks is the same once its other parts are fused, too.

    It is tried in float32, as `optimize` tries what it makes of a model.
    """
    plain = copy.deepcopy(network)
    blocks = {path: m for path, m in plain.named_modules() if isinstance(m, SimulatedBlock)}
    for block in blocks.values():
        block.simulating = False
        if isinstance(block, SimulatedStem):
            block.normalise_with(None, None)
    module, converter = ToFused.of(plain, (None, None), torch.float32, dict.fromkeys(blocks, ""))
    return not converter.found_by_structure or does_the_same(plain, module) is not False


class _WithResidual(nn.Module):
    """Attention that stayed plain, and the residual of its layer."""

    def __init__(self, attn: nn.Module):
        super().__init__()
        self.attn = attn

    def forward(self, x: Tensor) -> Tensor:
        return x + self.attn(x)


@torch.no_grad()
def link(model: nn.Module, blocks: dict[str, SimulatedBlock], x: Tensor) -> list[str]:
    """Lets a block that reads just what another one wrote share that one's map.

    Args:
        x: images to run the model on once.

    Returns:
        Paths of the blocks in the order in which they run.
    """
    written: list[tuple[Tensor, Map]] = []  # kept, or else another tensor could be taken for one
    order: list[str] = []
    calls: dict[str, int] = {}
    readers: dict[tuple[str, str], Map | None] = {}

    def before(path: str, args: tuple) -> None:
        for name, x in zip(blocks[path].reads, args, strict=False):
            found = next((of for y, of in written if y is x), None)
            again = path in calls and readers.get((path, name)) is not found
            readers[path, name] = None if again else found
        calls[path] = calls.get(path, 0) + 1
        if calls[path] == 1:
            order.append(path)

    hooks = []
    for path, block in blocks.items():
        hooks.append(block.register_forward_pre_hook(lambda _, args, path=path: before(path, args)))
        hooks.append(
            block.register_forward_hook(lambda block, _, y: written.append((y, block.output)))
        )
    try:
        model(x)
    finally:
        for hook in hooks:
            hook.remove()
    for (path, name), of in readers.items():
        if of is not None:
            setattr(blocks[path], name, of)
    return order
