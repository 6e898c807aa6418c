"""Fused models as one op: the steps of a model, and the modules that run them."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from seaformer_kernels import ops
from seaformer_kernels.fused import (
    FusedBlock,
    FusedClassificationHead,
    FusedSegmentationHead,
    FusedStemBlock,
    Unservable,
    check_forward,
)
from seaformer_kernels.fused.segmentation_head import fusions
from seaformer_kernels.models import SeaFormerBackbone, SeaFormerClassifier, SeaFormerSegmenter
from seaformer_kernels.models.backbone import check_images
from seaformer_kernels.models.config import SeaFormerConfig
from seaformer_kernels.modules import SeaStage
from seaformer_kernels.ops.network import DOWNSAMPLING


class WholeNetwork(nn.Module):
    """A network of which one op computes everything.

    Attributes:
        plan: uint8 buffer, the same for every instruction set.
        config, num_classes: of the model.
        normalizes: whether images are raw RGB values, float32 or uint8.
    """

    plan: Tensor

    def __init__(self, plan: Tensor, config: SeaFormerConfig, num_classes: int, normalizes: bool):
        super().__init__()
        self.config = config
        self.num_classes = num_classes
        self.normalizes = normalizes
        self.register_buffer("plan", plan)

    def _logits(self, x: Tensor, downsampling: int) -> Tensor:
        check_images(x, raw=self.normalizes)
        return ops.network_logits(x, self.plan, self.num_classes, downsampling)


class WholeSegmenter(WholeNetwork):
    """A `SeaFormerSegmenter` for inference as one op, without the maps of its backbone."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits, as of `SeaFormerSegmenter`."""
        return self._logits(x, DOWNSAMPLING)

    @torch.no_grad()
    def predict(self, x: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Labels, as of `SeaFormerSegmenter`."""
        check_images(x, raw=self.normalizes)
        size = tuple(x.shape[-2:]) if size is None else size
        return ops.network_labels(x, self.plan, self.num_classes, size)


class WholeClassifier(WholeNetwork):
    """A `SeaFormerClassifier` for inference as one op, without the maps of its backbone."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits, as of `SeaFormerClassifier`."""
        return self._logits(x, 0)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Class indices, as of `SeaFormerClassifier`."""
        return self(x).argmax(1)


def whole_network(model: nn.Module) -> WholeNetwork:
    """A model as one op.

    Args:
        model: a `SeaFormerSegmenter` or `SeaFormerClassifier` whose blocks are all fused.

    Raises:
        Unservable: it is another module, or a part of it does something else; the message begins
            with the name of the part.
    """
    if isinstance(model, WholeNetwork):
        return model
    if type(model) is SeaFormerSegmenter:
        return _segmenter(model)
    if type(model) is SeaFormerClassifier:
        return _classifier(model)
    raise Unservable(f"the model is a {type(model).__name__}, not one of create_model's")


def _segmenter(model: SeaFormerSegmenter) -> WholeSegmenter:
    steps = _Steps()
    steps.check("the model", model, SeaFormerSegmenter)
    first, *coarser, coarsest = steps.backbone("backbone.", model.backbone)
    head = model.decode_head
    steps.check("decode_head", head, FusedSegmentationHead)
    for number, (gate, coarse) in enumerate(zip(fusions(head), coarser, strict=True), 1):
        first = steps.add(f"decode_head.fuse{number}", gate, first, coarse)
    steps.add("decode_head", head, first, coarsest)
    return WholeSegmenter(*steps.finish(ops.Task.SEGMENTATION, model, model.backbone))


def _classifier(model: SeaFormerClassifier) -> WholeClassifier:
    steps = _Steps()
    features = steps.backbone("", model, SeaFormerClassifier)
    steps.check("linear", model.linear, FusedClassificationHead)
    steps.add("linear", model.linear, features[-1])
    return WholeClassifier(*steps.finish(ops.Task.CLASSIFICATION, model, model))


class _Steps:
    """Collects the steps of a model; maps go by their numbers, 0 is the image."""

    def __init__(self) -> None:
        self.steps: list[ops.Step] = []

    def check(self, path: str, module: nn.Module, kind: type[nn.Module]) -> None:
        try:
            check_forward(module, kind)
        except Unservable as error:
            raise Unservable(f"{path} {error}") from None

    def add(self, path: str, block: nn.Module, *inputs: int) -> int:
        self.check(path, block, type(block) if isinstance(block, FusedBlock) else FusedBlock)
        # A plan has the stem and the block behind it apart: the network sees what it can join.
        if isinstance(block, FusedStemBlock):
            parts = [(block.stem, False), (block.block, block.residual)]
        else:
            parts = [(block.packed, getattr(block, "residual", False))]
        for packed, residual in parts:
            self.steps.append(ops.Step(packed, inputs, residual))
            inputs = (len(self.steps),)
        return len(self.steps)

    def chain(self, path: str, module: nn.Module, x: int) -> int:
        """Every block in a sequence, or in nested ones, behind each other."""
        if type(module) is nn.Identity:  # in the place of a block that another one took in
            self.check(path, module, nn.Identity)
            return x
        if not isinstance(module, nn.Sequential | SeaStage):
            return self.add(path, module, x)
        self.check(path, module, SeaStage if isinstance(module, SeaStage) else nn.Sequential)
        for name, child in module.named_children():
            x = self.chain(f"{path}.{name}", child, x)
        return x

    def backbone(
        self, prefix: str, backbone: nn.Module, kind: type[nn.Module] = SeaFormerBackbone
    ) -> list[int]:
        """The maps of `SeaFormerBackbone.features`."""
        self.check(prefix.rstrip(".") or "the model", backbone, kind)
        sea_stage_after = {
            sea.after_stage: i for i, sea in enumerate(backbone.config.sea_stages, 1)
        }
        x, features = 0, []
        for number in range(1, len(backbone.config.stages) + 1):
            x = self.chain(f"{prefix}smb{number}", backbone.get_submodule(f"smb{number}"), x)
            if number == 2:
                features.append(x)
            if number in sea_stage_after:
                name = f"trans{sea_stage_after[number]}"
                x = self.chain(prefix + name, backbone.get_submodule(name), x)
                features.append(x)
        return features

    def finish(
        self, task: ops.Task, model: nn.Module, backbone: nn.Module
    ) -> tuple[Tensor, SeaFormerConfig, int, bool]:
        normalizes = backbone.smb1.stem_block.normalizes
        plan = ops.pack_plan(task, model.num_classes, normalizes, self._needed())
        return plan, model.config, model.num_classes, normalizes

    def _needed(self) -> list[ops.Step]:
        """The steps that the last one depends on, numbered anew."""
        needed = {len(self.steps)}
        for number in range(len(self.steps), 0, -1):
            if number in needed:
                needed.update(self.steps[number - 1].inputs)
        numbers = {map_: new for new, map_ in enumerate(sorted(needed))}
        return [
            dataclasses.replace(step, inputs=tuple(numbers[map_] for map_ in step.inputs))
            for map_, step in enumerate(self.steps, 1)
            if map_ in needed
        ]
