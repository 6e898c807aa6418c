"""From an image file to its labels, classes or objects, and files of them, each step timed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from seaformer_kernels._files import write_whole
from seaformer_kernels.cli import drawing, images, outputs
from seaformer_kernels.cli.classes import Share, shares_of
from seaformer_kernels.cli.depth import Photo
from seaformer_kernels.cli.errors import ImageError, check_memory, out_of_memory, reason
from seaformer_kernels.cli.options import (
    ClassificationOptions,
    DetectionOptions,
    ModelOptions,
    SegmentationOptions,
)
from seaformer_kernels.cli.times import Times
from seaformer_kernels.data.letterbox import Letterbox
from seaformer_kernels.evaluate.boxes import draw_boxes
from seaformer_kernels.evaluate.classification import centre
from seaformer_kernels.evaluate.engines import TorchEngine
from seaformer_kernels.models import Detections
from seaformer_kernels.models.backbone import MIN_SIZE


@dataclass
class Segmented:
    """An image and the label of each of its pixels."""

    photo: Photo
    labels: np.ndarray  # [H, W]
    times: Times

    @cached_property
    def shares(self) -> list[Share]:
        """How many pixels have each label."""
        return shares_of(self.labels)


@dataclass
class Classified:
    """An image and how likely each class is."""

    photo: Photo
    scores: np.ndarray  # float32 [classes]: softmax; of one class, sigmoid
    times: Times


@dataclass
class Detected:
    """An image and the objects in it, boxes in its pixels."""

    photo: Photo
    found: Detections
    times: Times


@torch.inference_mode()
def segment(engine: TorchEngine, path: Path, options: SegmentationOptions) -> Segmented:
    """Reads an image, and labels every pixel of it.

    Raises:
        ImageError: the image cannot be read, is too small, or memory runs out.
    """
    times = Times()
    with times.step("read"):
        photo = images.read(path, options.reading)
        x = _scaled(photo.image, options)
    height, width = x.shape[-2:]
    with out_of_memory(width, height), times.step("predict"):
        size = photo.image.height, photo.image.width
        labels = _labels(engine, x, size, options.sigmoid_threshold)
    return Segmented(photo, labels[0].numpy(), times)


@torch.inference_mode()
def classify(engine: TorchEngine, path: Path, options: ClassificationOptions) -> Classified:
    """Reads an image, and tells how likely each class is.

    Raises:
        ImageError: the image cannot be read, is too small, or memory runs out.
    """
    times = Times()
    with times.step("read"):
        photo = images.read(path, options.reading)
        x = _scaled(photo.image, options) if options.resize else _middle(photo.image)
    height, width = x.shape[-2:]
    with out_of_memory(width, height), times.step("predict"):
        logits = engine.logits(x)
        scores = logits.softmax(1) if options.class_count > 1 else logits.sigmoid()
    return Classified(photo, scores[0].numpy(), times)


@torch.inference_mode()
def detect(engine: TorchEngine, path: Path, options: DetectionOptions) -> Detected:
    """Reads an image, and finds the objects in it.

    Raises:
        ImageError: the image cannot be read, is too small, or memory runs out.
    """
    times = Times()
    with times.step("read"):
        photo = images.read(path, options.reading)
        x = _scaled(photo.image, options)
    height, width = x.shape[-2:]
    box = Letterbox.stretch((photo.image.height, photo.image.width), (height, width))
    with out_of_memory(width, height), times.step("predict"):
        (found,) = engine.detections(x, **options.thresholds)
        found = Detections(box.to_image(found.boxes), found.scores, found.classes)
    return Detected(photo, found, times)


def _labels(
    engine: TorchEngine, x: Tensor, size: tuple[int, int], threshold: float | None
) -> Tensor:
    """Labels [1, *size] of pixels; with a threshold, of a network of one class.

    A pixel then has label 1 where the sigmoid of the logit is above the threshold, else 0.
    """
    if threshold is None:
        return engine.labels(x, size)
    logits = engine.logits(x)
    # Beside a class that is as likely as the threshold everywhere, argmax tells what is above.
    other = torch.full_like(logits, math.log(threshold / (1 - threshold)))
    return engine.to_labels(torch.cat([other, logits], 1), size)


def _scaled(image: Image.Image, options: ModelOptions) -> Tensor:
    """The pixels [1, 3, H, W] of an image at the size at which the network sees it."""
    width, height = size = options.input_size(image.size)
    if min(width, height) < MIN_SIZE:
        raise ImageError(
            f"{width}x{height} pixels are too few, the network needs {MIN_SIZE} a side; "
            "a larger --resize makes them more"
        )
    check_memory(width, height)
    with out_of_memory(width, height):
        if size != image.size:
            image = image.resize(size, Image.Resampling.BILINEAR)
        return images.to_pixels(image)


def _middle(image: Image.Image) -> Tensor:
    """The pixels [1, 3, H, W] that the usual evaluation on ImageNet looks at."""
    with out_of_memory(*image.size):
        return centre(images.to_pixels(image)[0])[None]


def save(result: Segmented, options: SegmentationOptions, paths: outputs.Outputs) -> None:
    """Writes the labels, and the image with their colours and a legend laid over it.

    Raises:
        ImageError: they cannot be written, or memory runs out.
    """
    image, classes = result.photo.image, options.classes
    with out_of_memory(*image.size), result.times.step("write"):
        indexed, coloured = drawing.colour(result.labels, classes.colours)
        overlay = Image.blend(image, coloured, options.alpha)
        if options.legend:
            drawing.draw_legend(overlay, classes, result.shares)
        _write(
            {
                paths.labels: lambda path: indexed.save(path, "PNG"),
                paths.overlay: lambda path: overlay.save(path, "PNG"),
            }
        )


def save_boxes(result: Detected, options: DetectionOptions, path: Path) -> None:
    """Writes the image with a box around each object.

    Raises:
        ImageError: it cannot be written, or memory runs out.
    """
    image, classes = result.photo.image, options.classes
    with out_of_memory(*image.size), result.times.step("write"):
        picture = image.copy()
        colours = [(int(r), int(g), int(b)) for r, g, b in classes.colours]
        draw_boxes(picture, result.found, classes.names, colours)
        _write({path: lambda temporary: picture.save(temporary, "PNG")})


def _write(files: dict[Path, Callable[[Path], None]]) -> None:
    try:
        for path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(files)
    except OSError as error:
        raise ImageError(f"results cannot be written: {reason(error)}") from None
