"""Fused models as one op: the steps of a model, and the modules that run them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seaformer_kernels import _extension, ops
from seaformer_kernels.fused import (
    FusedBlock,
    FusedLightHead,
    FusedSegmentationHead,
    FusedUpsamplingHead,
    SelfDescribing,
    Unservable,
    check_forward,
)
from seaformer_kernels.graph import Graph, chain
from seaformer_kernels.models import (
    SeaFormerBackbone,
    SeaFormerClassifier,
    SeaFormerDetector,
    SeaFormerSegmenter,
)
from seaformer_kernels.models.backbone import check_images
from seaformer_kernels.models.config import SeaFormerConfig
from seaformer_kernels.models.detecting import Detecting
from seaformer_kernels.modules import FeaturePyramid, RetinaHead, SeaStage
from seaformer_kernels.modules.feature_pyramid import TopDownSum
from seaformer_kernels.modules.retina_head import Maps, classes_and_boxes
from seaformer_kernels.ops._facts import packed_facts, plan_facts
from seaformer_kernels.ops.detections import Decoded
from seaformer_kernels.ops.network import DOWNSAMPLING, dtype_of, outputs_of, scale_of
from seaformer_kernels.optimize.report import Report
from seaformer_kernels.optimize.structure.plan import Output, PlannedModel, parts_of


class WholeNetwork(SelfDescribing):
    """A network of which one op computes everything.

    Attributes:
        plan: uint8 buffer, the same for every instruction set.
        config, num_classes: of the model.
        normalizes: whether images are raw RGB values, float32 or uint8.
        dtype: of the first map that comes out.
    """

    plan: Tensor
    dtype = torch.float32  # of those that were pickled before there were others
    _facts_of = staticmethod(plan_facts)

    def __init__(
        self,
        plan: Tensor,
        config: SeaFormerConfig | None,
        num_classes: int,
        normalizes: bool,
    ):
        super().__init__(plan=plan)
        self.config = config
        self.num_classes = num_classes
        self.normalizes = normalizes
        self.dtype = dtype_of(plan)


class WholeLogits(WholeNetwork):
    """One of which logits come out.

    Attributes:
        scale: downsampling and upsampling of the logits, as `ops.network_logits` takes them.
    """

    scale: tuple[int, int]

    def __init__(self, plan: Tensor, config: SeaFormerConfig, num_classes: int, normalizes: bool):
        super().__init__(plan, config, num_classes, normalizes)
        self.scale = scale_of(plan)

    def _logits(self, x: Tensor) -> Tensor:
        check_images(x, raw=self.normalizes)
        return ops.network_logits(x, self.plan, self.num_classes, *self.scale, self.dtype)


class WholeSegmenter(WholeLogits):
    """A `SeaFormerSegmenter` for inference as one op, without the maps of its backbone."""

    scale = (DOWNSAMPLING, 1)  # of those that were pickled before there were others

    @property
    def upsample(self) -> bool:
        """As of `SeaFormerSegmenter`."""
        return self.scale[1] > 1

    def forward(self, x: Tensor) -> Tensor:
        """Logits, as of `SeaFormerSegmenter`."""
        return self._logits(x)

    @torch.no_grad()
    def predict(self, x: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Labels, as of `SeaFormerSegmenter`."""
        check_images(x, raw=self.normalizes)
        size = tuple(x.shape[-2:]) if size is None else size
        return ops.network_labels(x, self.plan, self.num_classes, size)


class WholeClassifier(WholeLogits):
    """A `SeaFormerClassifier` for inference as one op, without the maps of its backbone."""

    scale = (0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, as of `SeaFormerClassifier`."""
        return self._logits(x)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Class indices, as of `SeaFormerClassifier`."""
        return self(x).argmax(1)


class WholeMaps(WholeNetwork):
    """One of which any maps come out.

    Attributes:
        outputs: of the maps, as `ops.network_maps` takes them.
    """

    outputs: tuple[int, ...]

    def __init__(
        self, plan: Tensor, config: SeaFormerConfig | None, num_classes: int, normalizes: bool
    ):
        super().__init__(plan, config, num_classes, normalizes)
        self.outputs = outputs_of(plan)

    def __setstate__(self, state: dict[str, object]) -> None:
        super().__setstate__(state)
        if "outputs" not in state:  # of those that were pickled before there were several
            self.outputs = outputs_of(self.plan)

    def _maps(self, x: Tensor) -> list[Tensor]:
        return ops.network_maps(x, self.plan, self.outputs)


class WholeBackbone(WholeMaps):
    """A `SeaFormerBackbone` for inference as one op."""

    def features(self, x: Tensor) -> list[Tensor]:
        """Maps, as of `SeaFormerBackbone`."""
        check_images(x, raw=self.normalizes)
        return self._maps(x)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The same as `features`."""
        return self.features(x)


class WholeDetector(Detecting, WholeMaps):
    """A `SeaFormerDetector` for inference as one op."""

    def forward(self, x: Tensor) -> Maps:
        """Class logits and box deltas, as of `SeaFormerDetector`."""
        check_images(x, raw=self.normalizes)
        return classes_and_boxes(self._maps(x))

    def _objects(self, x: Tensor, size: tuple[int, int], thresholds: dict[str, Any]) -> Decoded:
        return ops.network_detections(x, self.plan, self.num_classes, size, **thresholds)


class WholeModel(WholeMaps):
    """Anyone's model for inference as one op.

    Args:
        plan, num_classes, normalizes: as of `WholeNetwork`.
        gives_labels: whether it makes labels, int64 and at the size of the image, of its logits.
        nest: what it returns, with an `Output` in the place of every map.
    """

    nest: object = None  # of those that were pickled before there were several

    def __init__(
        self, plan: Tensor, num_classes: int, normalizes: bool, gives_labels: bool, nest: object
    ):
        super().__init__(plan, None, num_classes, normalizes)
        self.gives_labels = gives_labels
        self.nest = nest

    def forward(self, x: Tensor) -> object:
        """What the model makes of images [B, 3, H, W]."""
        if self.gives_labels:
            return self.predict(x).to(torch.int64)
        nest = Output(0, self._is_classifier()) if self.nest is None else self.nest
        return _filled(nest, self._maps(x))

    @torch.no_grad()
    def predict(self, x: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Labels at a size, that of the image if none is given, or class indices [B]."""
        if self._is_classifier():
            return self(x).argmax(1)
        size = tuple(x.shape[-2:]) if size is None else size
        return ops.network_labels(x, self.plan, self.num_classes, size)

    def _is_classifier(self) -> bool:
        return self.outputs[3] == self.outputs[6] == 0


def _filled(nest: object, maps: list[Tensor]) -> object:
    """A nest with maps in their places."""
    if isinstance(nest, Output):
        map_ = maps[nest.number]
        return map_.flatten(1) if nest.is_vector else map_
    if isinstance(nest, dict):
        return {key: _filled(value, maps) for key, value in nest.items()}
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return type(nest)(*[_filled(value, maps) for value in nest])
    if isinstance(nest, list):
        return [_filled(value, maps) for value in nest]
    if isinstance(nest, tuple):
        return tuple([_filled(value, maps) for value in nest])
    return nest


def whole_network(model: nn.Module) -> WholeNetwork:
    """A model as one op.

    Args:
        model: of fused blocks, and of what there are steps for between them.

    Raises:
        Unservable: it is another module, or a part of it does something else; the message begins
            with the name of the part.
    """
    if isinstance(model, WholeNetwork):
        return model
    if type(model) not in _FORMS:
        return _anyones(model)
    task, form = _FORMS[type(model)]
    steps = _Steps()
    needed, outputs = steps.needed(steps.add("", model, [0]))
    classes = getattr(model, "num_classes", None) or model.config.feature_channels[0]
    anchors = None
    if isinstance(model, SeaFormerDetector):
        anchors = ops.Anchors(model.strides, model.anchor_sizes())
    plan = ops.pack_plan(task, classes, steps.normalizes, needed, outputs=outputs, anchors=anchors)
    whole = form(plan, model.config, classes, steps.normalizes)
    if isinstance(whole, WholeDetector):
        whole.facts = model.facts  # whose mean colour it pads with
    return whole


def _anyones(model: nn.Module) -> WholeModel:
    try:
        planned = PlannedModel(model)
        facts = planned.num_classes, planned.normalizes
        plan = ops.pack_plan(planned.task, *facts, planned.steps, outputs=planned.outputs)
        return WholeModel(plan, *facts, planned.gives_labels, planned.nest)
    except Unservable as error:
        raise Unservable(f"the model, a {type(model).__name__}, {error}") from None
    except ValueError as error:
        raise Unservable(f"the model is no plan: {error}") from None


def whole_or_refused(module: nn.Module, report: Report, op: str = "optimize") -> WholeNetwork:
    """A fused model as one op.

    Raises:
        RuntimeError: the native extension is missing.
        ValueError: not all of the model is fused, or it is not one of `create_model`.
    """
    if _extension.module is None:
        raise RuntimeError(f"{op}: whole_graph needs the native extension, but {_extension.reason}")
    try:
        return whole_network(module)
    except Unservable as error:
        if report.plain:
            entry = report.plain[0]
            raise ValueError(
                f"{op}: whole_graph needs a model whose blocks can all be fused, got "
                f"{entry.path or 'the model itself'}, which {entry.reason}."
            ) from None
        raise ValueError(
            f"{op}: whole_graph needs a model that is wholly steps of a plan, but {error}."
        ) from None


_FORMS = {
    SeaFormerSegmenter: (ops.Task.SEGMENTATION, WholeSegmenter),
    SeaFormerClassifier: (ops.Task.CLASSIFICATION, WholeClassifier),
    SeaFormerDetector: (ops.Task.DETECTION, WholeDetector),
    SeaFormerBackbone: (ops.Task.MAP, WholeBackbone),
}


class _Steps:
    """Collects the steps of a model; maps go by their numbers, 0 is the image.

    Attributes:
        normalizes: whether the stem takes raw RGB values.
    """

    # What runs its graph and nothing else.
    _COMPOSED = (
        SeaFormerSegmenter,
        SeaFormerClassifier,
        SeaFormerDetector,
        SeaFormerBackbone,
        SeaStage,
        FeaturePyramid,
        RetinaHead,
        FusedLightHead,
    )
    _PLAIN = (TopDownSum, nn.ReLU, nn.Identity)

    def __init__(self) -> None:
        self.steps: list[ops.Step] = []
        self.normalizes = False

    def add(self, path: str, module: nn.Module, maps: list[int]) -> list[int]:
        """The maps that a module makes of others: those of its graph, through its op."""
        if isinstance(module, FusedBlock):
            kind = type(module)
        else:
            kinds = (*self._COMPOSED, *self._PLAIN, nn.Sequential)
            kind = next((kind for kind in kinds if isinstance(module, kind)), FusedBlock)
        _check(path or "the model", module, kind)
        graph = chain(list(module._modules)) if kind is nn.Sequential else None
        if kind in (*self._COMPOSED, FusedSegmentationHead, FusedUpsamplingHead):
            graph = module.graph
        if graph is not None:
            maps = self._run(graph, path, module, maps)
        if kind is nn.ReLU:
            return [self._step(ops.pack_activate, maps, "relu")]
        if kind is TopDownSum:
            fine = maps[1]
            resized = self._step(ops.pack_resize, maps, self._width(fine), mode="nearest")
            return [self._step(ops.pack_add, [fine, resized])]
        return [self._block(module, maps)] if isinstance(module, FusedBlock) else maps

    def _step(self, pack: Callable[..., Tensor], maps: list[int], *args: object, **how: str) -> int:
        """Adds a step without weights, of the first map's width and type."""
        dtype = ops.common_dtype(self.steps, maps)
        packed = pack(self._width(maps[0]), *args, dtype=dtype, **how)
        self.steps.append(ops.Step(packed, tuple(maps)))
        return len(self.steps)

    def _width(self, map_: int) -> int:
        return int(packed_facts(self.steps[map_ - 1].packed)["out_channels"])

    def _run(self, graph: Graph, path: str, module: nn.Module, given: list[int]) -> list[int]:
        """As `Graph.run`, with lists of numbers in the place of maps."""
        maps = [[map_] for map_ in given]
        for step in graph.steps:
            name = f"{path}.{step.path}" if path else step.path
            inputs = [map_ for i in step.inputs for map_ in maps[i]]
            maps.append(self.add(name, module.get_submodule(step.path), inputs))
        return [map_ for i in graph.outputs for map_ in maps[i]]

    def _block(self, block: FusedBlock, maps: list[int]) -> int:
        self.normalizes |= getattr(block, "normalizes", False)
        for packed, residual in parts_of(block):
            self.steps.append(ops.Step(packed, tuple(maps), residual))
            maps = [len(self.steps)]
        return len(self.steps)

    def needed(self, outputs: list[int]) -> tuple[list[ops.Step], list[int]]:
        """The steps that some maps depend on, numbered anew, and those maps."""
        needed = set(outputs)
        for number in range(len(self.steps), 0, -1):
            if number in needed:
                needed.update(self.steps[number - 1].inputs)
        numbers = {map_: new for new, map_ in enumerate(sorted({0, *needed}))}
        steps = [
            dataclasses.replace(step, inputs=tuple(numbers[map_] for map_ in step.inputs))
            for map_, step in enumerate(self.steps, 1)
            if map_ in needed
        ]
        return steps, [numbers[map_] for map_ in outputs]


def _check(path: str, module: nn.Module, kind: type[nn.Module]) -> None:
    """Raises Unservable unless a module does what its kind does."""
    try:
        check_forward(module, kind)
        if kind in (SeaFormerBackbone, SeaFormerClassifier) and (
            "features" in vars(module) or type(module).features is not kind.features
        ):
            raise Unservable(f"has features of its own ({type(module).__name__})")
    except Unservable as error:
        raise Unservable(f"{path} {error}") from None
