"""How good a model is on the validation set; processes share the work."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from PIL import Image
from torch import Tensor, nn

from seaformer_kernels.evaluate import (
    InputSize,
    evaluate_classification,
    evaluate_detection,
    evaluate_segmentation,
)
from seaformer_kernels.evaluate.classification import Classification
from seaformer_kernels.evaluate.detection import Detection
from seaformer_kernels.evaluate.engines import TorchEngine, inputs_of
from seaformer_kernels.evaluate.pictures import draw_detections, draw_overlays
from seaformer_kernels.evaluate.segmentation import Segmentation
from seaformer_kernels.evaluate.views import Views

_SHOWN = 6  # images on a picture


class Validation(Protocol):
    """How a model is judged while it is trained."""

    @property
    def metrics(self) -> Sequence[str]:
        """Names of what `evaluate` gives, in 0..1; the first tells which weights are best."""

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """The metrics of a model, by all processes together."""

    def draw(self, model: nn.Module) -> Image.Image | None:
        """A picture of what a model finds, if there is one."""


class SegmentationValidation:
    """mIoU and accuracies of a segmenter on whole images.

    Args:
        data: a `SegmentationData`.
        input_size: of the network; labels keep the size of the image.
    """

    metrics = ("miou", "pixel_accuracy", "mean_accuracy")

    def __init__(self, data: Any, input_size: InputSize | None = None):
        self.data = data
        self.input_size = input_size or InputSize()

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """The metrics of a model."""
        found = evaluate_segmentation(model, self.data, input_size=self.input_size, progress=False)
        return {name: getattr(found, name) for name in self.metrics}

    def draw(self, model: nn.Module) -> Image.Image:
        """The labels that a model finds in images from all over the set, laid over them."""
        facts = self.data.facts
        engine = TorchEngine("model", model, facts.mean, facts.std)
        return draw_overlays(self._task, engine, self.data, _spread(self.data))

    def inputs(self, images: Iterable[Tensor]) -> Iterator[Tensor]:
        """What the network would be given of images, uint8 [3, H, W]: [B, 3, H, W] of pixels."""
        return inputs_of(self._task.predict, images)

    @property
    def _task(self) -> Segmentation:
        return Segmentation(self.data.facts, Views(self.input_size))


class ClassificationValidation:
    """Top-1 and top-5 accuracy of a classifier, on the middle of images.

    Args:
        data: a `ClassificationData`.
        crop: side of the square that the network sees; the shorter side is scaled to 8/7 of it.
    """

    metrics = ("top1", "top5")

    def __init__(self, data: Any, crop: int = 224):
        self.data = data
        self.crop = crop

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """The metrics of a model."""
        found = evaluate_classification(
            model, self.data, shorter_side=self._shorter_side, crop=self.crop, progress=False
        )
        return {"top1": found.top1, "top5": found.top5}

    def draw(self, model: nn.Module) -> None:
        """Nothing."""

    def inputs(self, images: Iterable[Tensor]) -> Iterator[Tensor]:
        """What the network would be given of images, uint8 [3, H, W]: [B, 3, H, W] of pixels."""
        task = Classification(len(self.data.classes), self._shorter_side, self.crop)
        return inputs_of(task.predict, images)

    @property
    def _shorter_side(self) -> int:
        return self.crop * 8 // 7


class DetectionValidation:
    """COCO's average precision of a detector.

    Args:
        data: a `DetectionData`.
        input_size: of the network; that of the image if None.
    """

    metrics = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")

    def __init__(self, data: Any, input_size: InputSize | None = None):
        self.data = data
        self.input_size = input_size or InputSize()

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """The metrics of a model; 0 where there is nothing to find."""
        found = evaluate_detection(model, self.data, input_size=self.input_size, progress=False)
        values = {name: getattr(found, name) for name in self.metrics}
        return {name: 0.0 if math.isnan(value) else value for name, value in values.items()}

    def draw(self, model: nn.Module) -> Image.Image:
        """The objects that a model finds in images from all over the set, and those there are."""
        data = self.data
        engine = TorchEngine("model", model, data.mean, data.std)
        return draw_detections(self._task, engine, data, _spread(data))

    def inputs(self, images: Iterable[Tensor]) -> Iterator[Tensor]:
        """What the network would be given of images, uint8 [3, H, W]: [B, 3, H, W] of pixels."""
        return inputs_of(self._task.predict, images)

    @property
    def _task(self) -> Detection:
        return Detection(self.data.classes, self.input_size, self.data.mean)


def _spread(data: Any) -> list[str]:
    """Names of some images from all over a data set."""
    samples = data.samples[:: max(1, len(data.samples) // _SHOWN)][:_SHOWN]
    return [sample.name for sample in samples]
