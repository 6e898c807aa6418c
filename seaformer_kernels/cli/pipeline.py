"""From an image file to its labels and result files, step by step, each step timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image

import seaformer_kernels as sk
from seaformer_kernels import _extension
from seaformer_kernels.cli import images, outputs
from seaformer_kernels.cli.errors import ImageError, check_memory, out_of_memory
from seaformer_kernels.cli.options import ModelOptions
from seaformer_kernels.models.backbone import MIN_SIZE
from seaformer_kernels.reference import upsample_argmax as reference

STEPS = ("read", "network", "labels", "write")
SEED = 0


class Times(dict[str, float]):
    """Milliseconds spent in each step."""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times the block."""
        start = time.perf_counter()
        yield
        self[name] = (time.perf_counter() - start) * 1e3


@dataclass
class Result:
    """An image and the label of each of its pixels."""

    image: Image.Image
    labels: np.ndarray  # [H, W]
    times: Times


def load_model(options: ModelOptions) -> torch.nn.Module:
    """The model in eval mode, and on stderr a sentence on where its weights come from."""
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    model = sk.create_model(options.model, task="segmentation", num_classes=options.classes)
    if options.weights is None:
        click.echo(
            f"No --weights: {options.model} gets random ones (seed {SEED}). "
            "The work is real, the labels mean nothing.",
            err=True,
        )
        return model
    hint = f" Was it trained for segmentation with {options.classes} classes (--num-classes)?"
    load_weights(model, options.weights, hint)
    return model


def load_weights(model: torch.nn.Module, path: Path, hint: str = "") -> None:
    """Fills the whole model from a checkpoint, and says so on stderr.

    Raises:
        click.ClickException: it cannot be read, or fills only a part; `hint` then ends the message.
    """
    try:
        report = sk.load_checkpoint(model, path)
    except (sk.CheckpointError, ImportError, OSError) as error:
        raise click.ClickException(str(error)) from None
    if report.fresh:
        message = f"The checkpoint fills only a part of the model. {report}{hint}"
        raise click.ClickException(message)
    click.echo(str(report), err=True)


@dataclass(frozen=True)
class Engine:
    """How labels are made of an image.

    Attributes:
        to_input: makes the network's input [1, 3, H, W] of an image.
        network: makes logits of it.
        to_labels: makes labels [1, H, W] of logits and size=(H, W).
    """

    to_input: Callable[[Image.Image], torch.Tensor]
    network: torch.nn.Module
    to_labels: Callable[..., torch.Tensor]


def fused(model: torch.nn.Module) -> Engine:
    """By this package's ops; `model` is from `load_model`."""
    native = _extension.module is not None
    network = sk.optimize(model, mean=images.MEAN, std=images.STD, whole_graph=native)
    return Engine(images.to_pixels, network, sk.ops.upsample_argmax)


def eager(model: torch.nn.Module) -> Engine:
    """By plain PyTorch in every step; `model` is from `load_model`."""
    return Engine(images.to_tensor, model, reference.upsample_argmax)


@torch.inference_mode()
def segment(engine: Engine, path: Path, resize: tuple[int, int] | None) -> Result:
    """Reads an image, runs the network, and labels every pixel of the image.

    Args:
        engine: what makes the labels.
        path: the image.
        resize: width and height the network is to see; those of the image if None.

    Raises:
        ImageError: the image cannot be read, is too small, or memory runs out.
    """
    times = Times()
    with times.step("read"):
        image, x = _read(engine, path, resize)
    height, width = x.shape[-2:]
    with out_of_memory(width, height):
        with times.step("network"):
            logits = engine.network(x)
        with times.step("labels"):
            labels = engine.to_labels(logits, size=(image.height, image.width))
    return Result(image, labels[0].numpy(), times)


def _read(
    engine: Engine, path: Path, resize: tuple[int, int] | None
) -> tuple[Image.Image, torch.Tensor]:
    image = images.read(path)
    width, height = resize or image.size
    if min(width, height) < MIN_SIZE:
        raise ImageError(
            f"{width}x{height} pixels are too few, the network needs {MIN_SIZE} a side; "
            "a larger --resize makes them more"
        )
    check_memory(width, height)
    with out_of_memory(width, height):
        scaled = image.resize(resize, Image.Resampling.BILINEAR) if resize else image
        return image, engine.to_input(scaled)


def save(result: Result, options: ModelOptions, paths: outputs.Outputs) -> None:
    """Writes the labels, and the image with their colours laid over it."""
    with out_of_memory(*result.image.size), result.times.step("write"):
        indexed, coloured = images.colour(result.labels, options.data_set.resized(options.classes))
        overlay = Image.blend(result.image, coloured, options.alpha)
        outputs.write({paths.labels: indexed, paths.overlay: overlay})
