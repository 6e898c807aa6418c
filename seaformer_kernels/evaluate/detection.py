"""Evaluation of models that find objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from seaformer_kernels.data.letterbox import Letterbox
from seaformer_kernels.data.objects import Objects
from seaformer_kernels.evaluate.average_precision import (
    DetectionMetrics,
    DetectionResult,
    hits,
    matched,
)
from seaformer_kernels.evaluate.engines import TorchEngine
from seaformer_kernels.evaluate.progress import progress_bar
from seaformer_kernels.evaluate.run import run
from seaformer_kernels.evaluate.views import InputSize
from seaformer_kernels.models import Detections
from seaformer_kernels.models.backbone import MIN_SIZE

_ALIKE = 0.9  # IoU of boxes that are taken for one


class DetectingEngine(Protocol):
    """A network that finds objects in images as they are read."""

    name: str

    def detections(self, x: Tensor) -> list[Detections]:
        """The objects in each of images, uint8 [B, 3, H, W], RGB; boxes in their pixels."""


class CallableEngine:
    """Anything that finds objects, whatever runs it.

    Args:
        name: what tables call it.
        find: gives the `Detections` in each of images, uint8 [B, 3, H, W], RGB.
    """

    def __init__(self, name: str, find: Callable[[Tensor], Sequence[Detections]]):
        self.name = name
        self.detections = find


class Detection:
    """Objects in images: what `run` asks of engines.

    Args:
        classes: names.
        input_size: of the network; boxes keep the size of the image.
        mean: of R, G and B in the range 0..255: of padding, where an image is too small.
    """

    rows = True

    def __init__(self, classes: Sequence[str], input_size: InputSize, mean: Sequence[float]):
        self.classes = tuple(classes)
        self.input_size = input_size
        self.mean = tuple(mean)

    def metrics(self) -> DetectionMetrics:
        return DetectionMetrics(len(self.classes), self.classes)

    @torch.inference_mode()
    def predict(self, engine: Any, image: Tensor) -> Detections:
        own = image.shape[1], image.shape[2]
        scaled = self.input_size.of(own)
        box = Letterbox(own, scaled, (max(scaled[0], MIN_SIZE), max(scaled[1], MIN_SIZE)))
        # The image is scaled as it was read, so that all engines see the same.
        x = box.place(image, [round(value) for value in self.mean])
        (found,) = engine.detections(x[None])
        return Detections(box.to_image(found.boxes.cpu()), found.scores.cpu(), found.classes.cpu())

    def count(self, found: Detections, truth: Objects) -> Tensor:
        return self.metrics().count(found, truth)

    def score(self, counts: Tensor) -> float:
        return hits(counts)

    def differing(self, found: Detections, first: Detections) -> int:
        labels, flags = (torch.empty(0, dtype=dtype) for dtype in (torch.int64, torch.bool))
        nothing = Objects(torch.empty(0, 4), labels, flags, torch.empty(0))
        metrics = self.metrics()
        mine, its = (metrics.count(each, nothing) for each in (found, first))
        return len(its) - matched(its, mine, _ALIKE)

    def size(self, found: Detections) -> int:
        return len(found)


def evaluate_detection(
    model: nn.Module | Callable[[Tensor], Sequence[Detections]],
    data: Any,
    *,
    input_size: InputSize | None = None,
    progress: bool = True,
) -> DetectionResult:
    """COCO's average precision of a model.

    In a group of processes (torch.distributed) each takes every n-th image, and all get the result
    of all images.

    Args:
        model: plain or optimised, from `create_model` or another with such a `predict`; it is
            evaluated in eval mode and left in its own, and images are normalised with the mean and
            std of the data, unless the model does. Or a function of images, uint8 [1, 3, H, W],
            that gives their `Detections`.
        data: a `DetectionData`: (image, objects) by index, with `samples`, which have names,
            `classes`, `mean` and `std`.
        input_size: of the network; that of the image if None.
        progress: whether there is a bar on a terminal, by rich, if that is installed.

    Raises:
        ImportError: faster-coco-eval is not installed.
        ValueError: the model has another number of classes than the data, or images cannot be read
            or evaluated.
    """
    count = len(data.classes)
    classes = getattr(model, "num_classes", count)
    if classes != count:
        raise ValueError(
            f"Expected a model of {count} classes, as the data has, got one of {classes}."
        )
    task = Detection(data.classes, input_size or InputSize(), data.mean)
    engine: Any = (
        TorchEngine("model", model, data.mean, data.std)
        if isinstance(model, nn.Module)
        else CallableEngine("model", model)
    )
    found = run(task, [engine], data, track=progress_bar("Evaluating", progress))
    found.check()
    return found.results[engine.name]
