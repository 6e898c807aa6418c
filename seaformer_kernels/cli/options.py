"""Command-line options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import click
import numpy as np

import seaformer_kernels as sk
from seaformer_kernels.cli.classes import Classes
from seaformer_kernels.cli.images import Reading
from seaformer_kernels.cli.params import ClassNames, ClassNamesFile, LocalPath, Size
from seaformer_kernels.data import ADE20K, DATASETS, Dataset

_IMAGENET_CLASSES = 1000


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """What every command that runs a model on images takes."""

    task: ClassVar[str]

    model: str
    weights: Path | None
    class_names: ClassNames | None
    num_classes: int | None
    resize: tuple[int, int] | None
    threads: int | None
    bit_depth: int | None
    max_pixels: int | None

    def __post_init__(self) -> None:
        if self.class_names and self.class_count != len(self.class_names.names):
            raise click.UsageError(
                f"--classes names {len(self.class_names.names)} classes, --num-classes says "
                f"{self.num_classes}."
            )

    @property
    def class_count(self) -> int:
        """How many classes the model tells apart."""
        named = self.class_names and len(self.class_names.names)
        return self.num_classes or named or self._usual_class_count()

    def _usual_class_count(self) -> int:
        raise NotImplementedError

    @property
    def reading(self) -> Reading:
        """How image files are read."""
        return Reading(self.bit_depth, self.max_pixels)

    @property
    def files(self) -> list[Path]:
        """The files that are read beside the images."""
        return [*filter(None, [self.weights, self.class_names and self.class_names.path])]


@dataclass(frozen=True, kw_only=True)
class SegmentationOptions(ModelOptions):
    """What commands that label pixels take."""

    task = "segmentation"

    dataset: str
    alpha: float
    legend: bool
    threshold: float | None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threshold is not None and self.class_count > 1:
            raise click.UsageError(
                "--threshold is for models of one class (--num-classes 1), got "
                f"{self.class_count} classes."
            )

    def _usual_class_count(self) -> int:
        return len(self.data.classes)

    @property
    def sigmoid_threshold(self) -> float | None:
        """The likelihood from which the class of a model of one class is there."""
        return (self.threshold or 0.5) if self.class_count == 1 else None

    @property
    def data(self) -> Dataset:
        """The data set that the model was trained on."""
        return DATASETS[self.dataset]

    @property
    def classes(self) -> Classes:
        """Names and colours of the labels."""
        names, colours = self._names(), np.array(self.data.colors, np.uint8)
        if self.class_count == 1:  # labels are 0 and 1
            names = names and ("background", *names)
            colours = np.concatenate([np.zeros_like(colours[:1]), colours])
        # Past the last class they start again.
        return Classes(names, np.resize(colours, (max(self.class_count, len(colours)), 3)))

    def _names(self) -> tuple[str, ...] | None:
        if self.weights is None:  # labels of random weights are not worth naming
            return None
        if self.class_names:
            return self.class_names.names
        return self.data.classes if len(self.data.classes) == self.class_count else None


@dataclass(frozen=True, kw_only=True)
class ClassificationOptions(ModelOptions):
    """What commands that classify images take."""

    task = "classification"

    def _usual_class_count(self) -> int:
        return _IMAGENET_CLASSES

    @property
    def names(self) -> tuple[str, ...] | None:
        """Names of the classes, if they are known and worth it."""
        return self.class_names.names if self.weights and self.class_names else None


MODEL = click.option(
    "--model",
    type=click.Choice(sk.list_models()),
    default="seaformer_base",
    show_default=True,
    help="Member of the family.",
)
WEIGHTS = click.option(
    "--weights",
    type=LocalPath(),
    metavar="FILE",
    help="Checkpoint, .pth or .safetensors.  [default: seeded random weights]",
)
_READING = (
    click.option("--threads", type=click.IntRange(min=1), help="Threads torch may use."),
    click.option(
        "--bit-depth",
        type=click.IntRange(8, 16),
        help="Bits that the values of 16-bit PNG and TIFF images use.  [default: 16]",
    ),
    click.option(
        "--max-pixels",
        type=click.IntRange(min=1),
        help="Largest image that is read.  [default: Pillow's limit, about 179 million]",
    ),
)


def _classes(text: str) -> Callable:
    return click.option(
        "--classes",
        "class_names",
        type=ClassNamesFile(),
        metavar="FILE",
        help=f"Names of the classes: one a line, or a JSON list or object.  [default: {text}]",
    )


def _num_classes(text: str) -> Callable:
    return click.option(
        "--num-classes",
        type=click.IntRange(1, 1 << 16),
        help=f"Classes of the model.  [default: those of --classes, else {text}]",
    )


def _resize(text: str) -> Callable:
    return click.option("--resize", type=Size(), metavar="WxH", help=text)


_SEGMENTATION = (
    MODEL,
    WEIGHTS,
    click.option(
        "--dataset",
        "--palette",
        "dataset",
        type=click.Choice(list(DATASETS)),
        default=ADE20K.name,
        show_default=True,
        help="Data set that gives classes their names and colours, and images their mean and std.",
    ),
    _classes("those of the data set, if it has as many"),
    _num_classes("those of the data set"),
    click.option(
        "--threshold",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        help="For a model of one class: a pixel gets label 1 where the sigmoid of its logit is "
        "above this, else 0.  [default: 0.5]",
    ),
    _resize("Size the network sees; labels keep that of the image.  [default: that of the image]"),
    click.option(
        "--alpha",
        type=click.FloatRange(0, 1),
        default=0.5,
        show_default=True,
        help="Share of the colours in the overlay.",
    ),
    click.option(
        "--legend/--no-legend",
        default=True,
        show_default=True,
        help="Draw the names of the largest classes on the overlay, if there is room.",
    ),
    *_READING,
)
_CLASSIFICATION = (
    MODEL,
    WEIGHTS,
    _classes("numbers"),
    _num_classes("1000"),
    _resize(
        "Size to which the whole image is scaled.  [default: the middle 224x224 of the image "
        "scaled to 256 pixels on the shorter side]"
    ),
    *_READING,
)
_BATCH = (
    click.argument("paths", metavar="IMAGE...", type=LocalPath(), nargs=-1, required=True),
    click.option("--recursive", is_flag=True, help="Look into the folders below a folder, too."),
    click.option(
        "--json",
        "json_file",
        type=LocalPath(),
        metavar="FILE",
        help="Write what is found and the times to this file, too.",
    ),
    click.option("--overwrite", is_flag=True, help="Replace results that are there already."),
    click.option(
        "--eager", is_flag=True, help="Plain PyTorch in every step, without this package's kernels."
    ),
)


def _adding(options: tuple[Callable, ...]) -> Callable[[Callable], Callable]:
    def add(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return add


segmentation_options = _adding(_SEGMENTATION)
classification_options = _adding(_CLASSIFICATION)
batch_options = _adding(_BATCH)  # of commands that work through many images
