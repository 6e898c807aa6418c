"""Evaluation of models that label pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from seaformer_kernels.data import Dataset
from seaformer_kernels.evaluate.engines import Engine, EngineError, TorchEngine
from seaformer_kernels.evaluate.metrics import SegmentationMetrics, SegmentationResult, class_iou
from seaformer_kernels.evaluate.progress import progress_bar
from seaformer_kernels.evaluate.run import run
from seaformer_kernels.evaluate.views import InputSize, SlidingWindow, Views, usual_scale


class Segmentation:
    """Labels of pixels: what `run` asks of engines.

    Args:
        facts: of the data set.
        views: what is averaged to label an image.
    """

    rows = False

    def __init__(self, facts: Dataset, views: Views):
        self.facts = facts
        self.views = views

    def metrics(self) -> SegmentationMetrics:
        return SegmentationMetrics(
            len(self.facts.classes), self.facts.ignore_label, self.facts.classes
        )

    def check(self, engine: Engine) -> None:
        """Raises EngineError if an engine cannot look at images in these views."""
        if not (engine.gives_logits or self.views.whole):
            raise EngineError(
                f"Expected neither windows, flips nor scales with the engine {engine.name}, which "
                f"gives no logits to average, got {self.views}."
            )

    def predict(self, engine: Engine, image: Tensor) -> Tensor:
        return self.views.labels(engine, image).cpu()

    def count(self, found: Tensor, truth: Tensor) -> Tensor:
        return self.metrics().count(found, truth)

    def score(self, counts: Tensor) -> float:
        return class_iou(counts).nanmean().item()

    def differing(self, found: Tensor, first: Tensor) -> int:
        return int((found != first).sum())

    def size(self, found: Tensor) -> int:
        return found.numel()


def evaluate_segmentation(
    model: nn.Module,
    data: Any,
    *,
    input_size: InputSize | None = None,
    sliding_window: SlidingWindow | None = None,
    flip: bool = False,
    scales: Sequence[float] = (1.0,),
    progress: bool = True,
) -> SegmentationResult:
    """How right the labels of a model are, at the size of each image.

    In a group of processes (torch.distributed) each takes every n-th image, and all get the result
    of all images.

    Args:
        model: plain or optimised, from `create_model` or another that makes logits of images
            [B, 3, H, W]; it is evaluated in eval mode and left in its own. The function normalises
            images with the mean and std of the data, unless the model does.
        data: a `SegmentationData`: (image, mask) by index, uint8 [3, H, W] and [H, W], with
            `samples`, which have names, and `facts`.
        input_size: of the network; that of the image if None, half of it for a model that upsamples
            (`create_model(upsample=True)`).
        sliding_window, flip, scales: what is averaged, as of `Views`.
        progress: whether there is a bar on a terminal, by rich, if that is installed.

    Raises:
        ValueError: the model has another number of classes than the data, or images cannot be read
            or evaluated, or have labels out of range.
    """
    facts = data.facts
    classes = getattr(model, "num_classes", len(facts.classes))
    if classes != len(facts.classes):
        raise ValueError(
            f"Expected a model of {len(facts.classes)} classes, as {facts.name} has, got one of "
            f"{classes}."
        )
    if input_size is None:
        input_size = InputSize(scale=usual_scale(model))
    task = Segmentation(facts, Views(input_size, sliding_window, flip, tuple(scales)))
    engine = TorchEngine("model", model, facts.mean, facts.std)
    found = run(task, [engine], data, track=progress_bar("Evaluating", progress))
    found.check()
    return found.results[engine.name]
