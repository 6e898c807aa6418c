"""Evaluation of models that classify images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seaformer_kernels.evaluate.engines import Engine, TorchEngine
from seaformer_kernels.evaluate.metrics import ClassificationMetrics, ClassificationResult
from seaformer_kernels.evaluate.progress import progress_bar
from seaformer_kernels.evaluate.run import run

SHORTER_SIDE, CROP = 256, 224  # the usual evaluation on ImageNet


class Classification:
    """Classes of images: what `run` asks of engines.

    Args:
        num_classes: how many classes.
        shorter_side: to which images are scaled; None leaves them.
        crop: side of the square in the middle that the network sees.
    """

    rows = False

    def __init__(self, num_classes: int, shorter_side: int | None = SHORTER_SIDE, crop: int = CROP):
        self.num_classes = num_classes
        self.shorter_side = shorter_side
        self.crop = crop

    def metrics(self) -> ClassificationMetrics:
        return ClassificationMetrics(self.num_classes)

    @torch.inference_mode()
    def predict(self, engine: Engine, image: Tensor) -> Tensor:
        return engine.logits(centre(image, self.shorter_side, self.crop)[None]).cpu()

    def count(self, found: Tensor, truth: int) -> Tensor:
        return self.metrics().count(found, torch.tensor([truth]))

    def score(self, counts: Tensor) -> float:
        return counts[1].item()

    def differing(self, found: Tensor, first: Tensor) -> int:
        return int((found.argmax(1) != first.argmax(1)).sum())

    def size(self, found: Tensor) -> int:
        return 1


def centre(image: Tensor, shorter_side: int | None = SHORTER_SIDE, crop: int = CROP) -> Tensor:
    """The square in the middle of an image, uint8 [3, H, W]; scaled bicubically, as Pillow does.

    Raises:
        ValueError: the image is smaller than the square.
    """
    size = tuple(image.shape[1:])
    if shorter_side is not None:
        size = tuple(shorter_side * side // min(size) for side in image.shape[1:])
        image = F.interpolate(image[None], size, mode="bicubic", antialias=True)[0]
    if min(size) < crop:
        raise ValueError(f"Expected at least {crop} pixels a side, got {size[1]}x{size[0]}.")
    top, left = (round((side - crop) / 2) for side in size)
    return image[:, top : top + crop, left : left + crop]


def evaluate_classification(
    model: nn.Module,
    data: Any,
    *,
    shorter_side: int | None = SHORTER_SIDE,
    crop: int = CROP,
    progress: bool = True,
) -> ClassificationResult:
    """How often the class of an image is the likeliest, or among the five likeliest.

    In a group of processes (torch.distributed) each takes every n-th image, and all get the result
    of all images.

    Args:
        model: plain or optimised, from `create_model` or another that makes logits [B, classes] of
            images [B, 3, H, W]; it is evaluated in eval mode and left in its own. The function
            normalises images with the mean and std of the data, unless the model does.
        data: a `ClassificationData`: (image, class) by index, uint8 [3, H, W] and an integer, with
            `samples`, which have names, `classes`, `mean` and `std`.
        shorter_side, crop: the network sees the square of `crop` pixels in the middle of an image
            whose shorter side is scaled to `shorter_side`, or not scaled if that is None.
        progress: whether there is a bar on a terminal, by rich, if that is installed.

    Raises:
        ValueError: the model has another number of classes than the data, or images cannot be read
            or evaluated.
    """
    count = len(data.classes)
    classes = getattr(model, "num_classes", count)
    if classes != count:
        raise ValueError(
            f"Expected a model of {count} classes, as the data has, got one of {classes}."
        )
    task = Classification(count, shorter_side, crop)
    engine = TorchEngine("model", model, data.mean, data.std)
    found = run(task, [engine], data, track=progress_bar("Evaluating", progress))
    found.check()
    return found.results[engine.name]
