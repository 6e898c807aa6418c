"""Walks a model and puts fused blocks in place of plain ones."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import nn

from seaformer_kernels.fused import (
    FusedClassificationHead,
    FusedFusionGate,
    FusedInvertedResidual,
    FusedMlp,
    FusedSeaAttention,
    FusedSegmentationHead,
    FusedStem,
    FusedStemBlock,
    FusedUpsamplingHead,
    Unservable,
    check_forward,
    folded_convolution,
)
from seaformer_kernels.modules import (
    ClassificationHead,
    ConvBN,
    FusionGate,
    InvertedResidual,
    Mlp,
    SeaAttention,
    SeaLayer,
    SegmentationHead,
    Stem,
    UpsamplingHead,
)
from seaformer_kernels.ops.stem_block import joins
from seaformer_kernels.optimize.report import Entry


class Converter:
    """Converts a model that may be changed in place, and keeps account of its blocks.

    Args:
        mean, std: for stems, see `FusedStem.of`.

    Attributes:
        entries: one for each of our blocks met, in order.
    """

    def __init__(self, mean: Sequence[float] | None = None, std: Sequence[float] | None = None):
        self.entries: list[Entry] = []
        self._results: dict[object, nn.Module] = {}  # so that shared modules stay shared
        self._makers = {
            Stem: lambda stem: FusedStem.of(stem, mean, std),
            InvertedResidual: FusedInvertedResidual.of,
            Mlp: FusedMlp.of,
            FusionGate: FusedFusionGate.of,
            UpsamplingHead: FusedUpsamplingHead.of,  # before the class that it extends
            SegmentationHead: FusedSegmentationHead.of,
            ClassificationHead: FusedClassificationHead.of,
            SeaAttention: FusedSeaAttention.of,
            ConvBN: folded_convolution,
        }

    @property
    def kinds(self) -> list[str]:
        """The names of the blocks it looks for."""
        return [kind.__name__ for kind in self._makers]

    def convert(self, module: nn.Module, path: str = "") -> nn.Module:
        """What takes the place of module: a fused block, or itself with its children converted."""
        if module not in self._results:
            result = self._sea_layer(module, path) or self._block(module, path)
            self._results[module] = result or module
            self._convert_children(result or module, path)
        return self._results[module]

    def _block(self, module: nn.Module, path: str) -> nn.Module | None:
        kind = next((kind for kind in self._makers if isinstance(module, kind)), None)
        if kind is None:
            return None
        try:
            result = self._makers[kind](module)
        except Unservable as error:
            self.entries.append(Entry(path, kind.__name__, str(error)))
            return None
        self.entries.append(Entry(path, kind.__name__))
        return result

    def _sea_layer(self, module: nn.Module, path: str) -> nn.Module | None:
        """Both halves of a layer, which add their residuals, or nothing where one cannot."""
        if not isinstance(module, SeaLayer):
            return None
        halves = {"attn": (SeaAttention, FusedSeaAttention), "mlp": (Mlp, FusedMlp)}
        made, entries = {}, []
        try:
            check_forward(module, SeaLayer)
            for name, (kind, fused) in halves.items():
                half = module.get_submodule(name)
                if (half, "residual") not in self._results:
                    made[half, "residual"] = fused.of(half, residual=True)
                    entries.append(Entry(_join(path, name), kind.__name__))
        except Unservable:
            return None
        self._results |= made
        self.entries += entries
        layer = nn.Sequential()
        for name in halves:
            layer.add_module(name, self._results[module.get_submodule(name), "residual"])
        return layer

    def _convert_children(self, module: nn.Module, path: str) -> None:
        for name, child in module._modules.items():
            if child is not None:
                module._modules[name] = self.convert(child, _join(path, name))
        if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            _join_stem(module)


def _join_stem(sequence: nn.Sequential) -> None:
    """Lets a fused stem do the work of the block behind it, if one op can do both."""
    for (name, stem), (next_name, block) in itertools.pairwise(sequence.named_children()):
        fused = type(stem) is FusedStem and type(block) is FusedInvertedResidual
        if fused and joins(stem.packed, block.packed):
            sequence._modules[name] = FusedStemBlock(stem, block)
            sequence._modules[next_name] = nn.Identity()


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
