"""Walks a model and puts fused blocks in place of plain ones."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor, nn

from seaformer_kernels.fused import (
    FusedBlock,
    FusedClassificationHead,
    FusedFusionGate,
    FusedInvertedResidual,
    FusedLightHead,
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
    LightHead,
    Mlp,
    SeaAttention,
    SeaLayer,
    SegmentationHead,
    Stem,
    UpsamplingHead,
)
from seaformer_kernels.ops._element import ELEMENTS, name_of
from seaformer_kernels.ops._packed import WeightOverflow
from seaformer_kernels.ops.stem_block import joins
from seaformer_kernels.optimize.paths import is_part, join
from seaformer_kernels.optimize.report import Entry
from seaformer_kernels.optimize.structure.known import sea_attention
from seaformer_kernels.optimize.structure.match import Match
from seaformer_kernels.optimize.structure.reasons import plain_layers
from seaformer_kernels.optimize.structure.replace import Replacer


class Converter:
    """Converts a model that may be changed in place, and keeps account of its blocks.

    Args:
        mean, std: for stems, see `FusedStem.of`.
        dtype: of the maps and weights of what is fused.
        keep_float32: names of parts that have float32 instead.

    Attributes:
        entries: one for each block met, in order, and each layer that stayed plain.
        found_by_structure: how many blocks were found in classes of others.
        normalizes: whether one of those reads the image and normalises it.
    """

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        dtype: torch.dtype = torch.float32,
        keep_float32: Collection[str] = (),
    ):
        self._normalisation = mean, std
        self._dtype = dtype
        self._keep_float32 = keep_float32
        self.entries: list[Entry] = []
        self.found_by_structure = 0
        self.normalizes = False
        self._results: dict[object, nn.Module] = {}  # so that shared modules stay shared
        self._makers = {
            Stem: functools.partial(FusedStem.of, mean=mean, std=std),
            InvertedResidual: FusedInvertedResidual.of,
            Mlp: FusedMlp.of,
            FusionGate: FusedFusionGate.of,
            UpsamplingHead: FusedUpsamplingHead.of,  # before the class that it extends
            SegmentationHead: FusedSegmentationHead.of,
            ClassificationHead: FusedClassificationHead.of,
            SeaAttention: FusedSeaAttention.of,
            LightHead: FusedLightHead.of,
            ConvBN: lambda block, dtype: folded_convolution(block),
        }

    def convert(self, module: nn.Module, path: str = "") -> nn.Module:
        """What takes the place of module: a fused block, or itself with its children converted."""
        if module not in self._results:
            result = self._sea_layer(module, path) or self._block(module, path)
            self._results[module] = result or module
            self._convert_children(result or module, path)
        return self._results[module]

    def convert_by_structure(self, model: nn.Module) -> nn.Module:
        """What takes the place of a model whose blocks of ours are converted."""
        model = self._known(model, "")
        replacer = Replacer(model, self._make_match)
        model = replacer.replace()
        self.found_by_structure += replacer.found
        self.entries = [entry for entry in self.entries if not _is_part_of_more(entry, model)]
        told = [entry.path for entry in self.entries]
        for path, layer, reason in plain_layers(model, replacer.reasons):
            if not any(is_part(path, name) for name in told):
                self.entries.append(Entry(path, type(layer).__name__, reason))
        return model

    def _make_match(
        self, match: Match, path: str, reads_image: bool, takes_its_place: bool
    ) -> nn.Module:
        mean, std = self._normalisation
        normalizing = match.normalizing if reads_image and mean is not None else None
        self.normalizes |= normalizing is not None

        def make(_: None, dtype: torch.dtype) -> FusedBlock:
            if normalizing is not None:
                return normalizing(dtype=dtype, mean=mean, std=std)
            return match.make(dtype)

        result = self._make(make, None, path)
        dtype = result.dtype if isinstance(result, FusedBlock) else torch.float32
        if takes_its_place:  # and that of blocks of ours that were told of
            self.entries = [entry for entry in self.entries if not is_part(entry.path, path)]
        self.entries.append(Entry(path, match.kind, dtype=name_of(dtype)))
        return result

    def _known(self, module: nn.Module, path: str) -> nn.Module:
        """The same with blocks in place of classes of others that are known by their weights."""
        if isinstance(module, FusedBlock):
            return module
        ours = sea_attention(module)
        if ours is not None:
            self.found_by_structure += 1
            return self._block(ours, path) or module
        for name, child in module._modules.items():
            if child is not None:
                module._modules[name] = self._known(child, join(path, name))
        return module

    def _block(self, module: nn.Module, path: str) -> nn.Module | None:
        kind = next((kind for kind in self._makers if isinstance(module, kind)), None)
        if kind is None:
            return None
        try:
            result = self._make(self._makers[kind], module, path)
        except Unservable as error:
            self.entries.append(Entry(path, kind.__name__, str(error)))
            return None
        self.entries.append(_entry(path, kind, result))
        return result

    def _make(self, make: Callable[..., nn.Module], module: nn.Module, path: str) -> nn.Module:
        kept = any(is_part(path, name) for name in self._keep_float32)
        try:
            return make(module, dtype=torch.float32 if kept else self._dtype)
        except WeightOverflow as error:
            raise ValueError(
                f"optimize: {error} in {path or 'the model itself'}; keep_float32=[{path!r}] keeps "
                "that part in float32."
            ) from None

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
                    make = functools.partial(fused.of, residual=True)
                    half_path = join(path, name)
                    made[half, "residual"] = result = self._make(make, half, half_path)
                    entries.append(_entry(half_path, kind, result))
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
                module._modules[name] = self.convert(child, join(path, name))
        if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            _join_stem(module)


def _is_part_of_more(entry: Entry, model: nn.Module) -> bool:
    """Whether what a folded ConvBN did is part of a block by now."""
    if entry.kind != ConvBN.__name__ or not entry.fused:
        return False
    try:
        return not isinstance(model.get_submodule(entry.path), nn.Conv2d)
    except AttributeError:
        return True


def read_any_element(model: nn.Module) -> None:
    """Lets what stayed plain, in float32, read maps of other types."""
    for module in model.modules():
        own = itertools.chain(module.parameters(False), module.buffers(False))
        if not isinstance(module, FusedBlock) and any(x.is_floating_point() for x in own):
            module.register_forward_pre_hook(_in_float32, with_kwargs=True)


def _in_float32(module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    def convert(x: object) -> object:
        return x.float() if isinstance(x, Tensor) and x.dtype in ELEMENTS else x

    return tuple(map(convert, args)), {name: convert(x) for name, x in kwargs.items()}


_in_float32.only_converts = True  # what traces look for


def _entry(path: str, kind: type[nn.Module], result: nn.Module) -> Entry:
    dtype = result.dtype if isinstance(result, FusedBlock | FusedLightHead) else torch.float32
    return Entry(path, kind.__name__, dtype=name_of(dtype))


def _join_stem(sequence: nn.Sequential) -> None:
    """Lets a fused stem do the work of the block behind it, if one op can do both."""
    for (name, stem), (next_name, block) in itertools.pairwise(sequence.named_children()):
        fused = type(stem) is FusedStem and type(block) is FusedInvertedResidual
        if fused and joins(stem.packed, block.packed):
            sequence._modules[name] = FusedStemBlock(stem, block)
            sequence._modules[next_name] = nn.Identity()
