"""From an image file to its labels or classes and the files made of them, each step timed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from seaformer_kernels._files import write_whole
from seaformer_kernels.cli import drawing, images, outputs
from seaformer_kernels.cli.classes import Share, shares_of
from seaformer_kernels.cli.depth import Photo
from seaformer_kernels.cli.engines import Engine
from seaformer_kernels.cli.errors import ImageError, check_memory, out_of_memory, reason
from seaformer_kernels.cli.options import ClassificationOptions, ModelOptions, SegmentationOptions
from seaformer_kernels.cli.times import Times
from seaformer_kernels.models.backbone import MIN_SIZE

# The usual evaluation on ImageNet: the shorter side, then the square in the middle.
_SHORTER_SIDE, _CROP = 256, 224


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


@torch.inference_mode()
def segment(engine: Engine, path: Path, options: SegmentationOptions) -> Segmented:
    """Reads an image, and labels every pixel of it.

    Raises:
        ImageError: the image cannot be read, is too small, or memory runs out.
    """
    times = Times()
    with times.step("read"):
        photo = images.read(path, options.reading)
        x = _to_input(engine, photo.image, options)
    height, width = x.shape[-2:]
    with out_of_memory(width, height), times.step("predict"):
        size = photo.image.height, photo.image.width
        labels = engine.labels(x, size, options.sigmoid_threshold)
    return Segmented(photo, labels[0].numpy(), times)


@torch.inference_mode()
def classify(engine: Engine, path: Path, options: ClassificationOptions) -> Classified:
    """Reads an image, and tells how likely each class is.

    Raises:
        ImageError: the image cannot be read, is too small, or memory runs out.
    """
    times = Times()
    with times.step("read"):
        photo = images.read(path, options.reading)
        image = photo.image if options.resize else _middle(photo.image)
        x = _to_input(engine, image, options)
    height, width = x.shape[-2:]
    with out_of_memory(width, height), times.step("predict"):
        logits = engine.network(x)
        scores = logits.softmax(1) if options.class_count > 1 else logits.sigmoid()
    return Classified(photo, scores[0].numpy(), times)


def _to_input(engine: Engine, image: Image.Image, options: ModelOptions) -> torch.Tensor:
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
        return engine.to_input(image)


def _middle(image: Image.Image) -> Image.Image:
    """What the usual evaluation on ImageNet looks at, rounded as it does."""
    shorter = min(image.size)
    width, height = (_SHORTER_SIDE * side // shorter for side in image.size)
    with out_of_memory(width, height):
        scaled = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (round((side - _CROP) / 2) for side in scaled.size)
    return scaled.crop((left, top, left + _CROP, top + _CROP))


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
        try:
            paths.labels.parent.mkdir(parents=True, exist_ok=True)
            write_whole(
                {
                    paths.labels: lambda path: indexed.save(path, "PNG"),
                    paths.overlay: lambda path: overlay.save(path, "PNG"),
                }
            )
        except OSError as error:
            raise ImageError(f"results cannot be written: {reason(error)}") from None
