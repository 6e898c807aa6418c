"""Command-line options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import click
import numpy as np
import torch

import seaformer_kernels as sk
from seaformer_kernels.cli.classes import Classes
from seaformer_kernels.cli.images import Reading
from seaformer_kernels.cli.params import (
    ClassNames,
    ClassNamesFile,
    LocalPath,
    Size,
    Weights,
    WeightsSource,
)
from seaformer_kernels.data import ADE20K, DATASETS, Dataset
from seaformer_kernels.data.datasets import object_colors
from seaformer_kernels.evaluate.views import InputSize, usual_scale
from seaformer_kernels.models import ModelFacts
from seaformer_kernels.models.backbone import MIN_SIZE
from seaformer_kernels.models.create import TASKS
from seaformer_kernels.ops._element import ELEMENTS, name_of

DEFAULT_MODEL = "seaformer_base"
_IMAGENET_CLASSES = 1000
_COCO_CLASSES = 80


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """What every command that runs a model on images takes."""

    task: ClassVar[str]

    model: str | None
    weights: Weights | None
    class_names: ClassNames | None
    num_classes: int | None
    resize: tuple[int, int] | None
    threads: int | None
    bit_depth: int | None
    max_pixels: int | None
    dtype: str
    keep_float32: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.weights:
            self.weights.check(self.task, self.model, self.num_classes)
        if self.class_names and self.class_count != len(self.class_names.names):
            says = "--num-classes says" if self.num_classes else "the weights have"
            raise click.UsageError(
                f"--classes names {len(self.class_names.names)} classes, {says} {self.class_count}."
            )

    @property
    def architecture(self) -> str:
        """What to call the model."""
        return (self.weights and self.weights.architecture) or self.model or DEFAULT_MODEL

    @property
    def precision(self) -> dict[str, Any]:
        """What `optimize` takes of it."""
        return precision(self.dtype, self.keep_float32)

    @property
    def facts(self) -> ModelFacts | None:
        """What the folder of the weights says of classes and images."""
        return self.weights.config.facts if self.weights and self.weights.config else None

    @property
    def class_count(self) -> int:
        """How many classes the model tells apart."""
        if self.weights and self.weights.config:
            return self.weights.config.num_classes
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
        names = [self.class_names.path] if self.class_names else []
        return [*(self.weights.files if self.weights else []), *names]

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and std of R, G and B in the range 0..255."""
        facts = self.facts or ModelFacts()
        return facts.mean, facts.std

    def input_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height at which the network sees an image of this width and height.

        Without `--resize`, that of the image, or what the weights were trained for: the longer
        side then gets their length, half of it for a network that upsamples, unless the shorter
        one would be too short for the network.
        """
        config = self.weights.config if self.weights else None
        if self.resize or not config:
            return self.resize or size
        usual = InputSize(long_side=config.facts.input_longer_side, scale=usual_scale(config))
        found = usual.of(size)
        if min(found) >= MIN_SIZE or found == size:
            return found
        return InputSize(short_side=MIN_SIZE).of(size)


@dataclass(frozen=True, kw_only=True)
class SegmentationOptions(ModelOptions):
    """What commands that label pixels take."""

    task = "segmentation"

    dataset: str | None
    alpha: float
    legend: bool
    threshold: float | None

    def __post_init__(self) -> None:
        super().__post_init__()
        facts = self.facts
        if self.dataset and facts:
            mine = facts.classes, facts.colors, self.class_count, facts.mean, facts.std
            data = self.data
            its = data.classes, data.colors, len(data.classes), data.mean, data.std
            if any(m not in (None, i) for m, i in zip(mine, its, strict=True)):
                raise click.UsageError(
                    f"--dataset says {self.dataset}, whose classes, colours, mean or std are not "
                    f"those of {self.weights.given}; it needs no data set."
                )
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
        return DATASETS[self.dataset or ADE20K.name]

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and std of R, G and B in the range 0..255."""
        return super().normalisation if self.facts else (self.data.mean, self.data.std)

    @property
    def classes(self) -> Classes:
        """Names and colours of the labels."""
        facts = self.facts
        colors = (facts and facts.colors) or self.data.colors
        names, colours = self._names(), np.array(colors, np.uint8)
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
        if self.facts and self.facts.classes:
            return self.facts.classes
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
        if self.weights is None:
            return None
        return self.class_names.names if self.class_names else self.facts and self.facts.classes


@dataclass(frozen=True, kw_only=True)
class DetectionOptions(ModelOptions):
    """What commands that find objects take."""

    task = "detection"

    score: float
    iou: float

    def _usual_class_count(self) -> int:
        return _COCO_CLASSES

    @property
    def thresholds(self) -> dict[str, float]:
        """What `predict` takes of them."""
        return {"score_threshold": self.score, "iou_threshold": self.iou}

    @property
    def classes(self) -> Classes:
        """Names and colours of the objects."""
        facts, count = self.facts, self.class_count
        names = None
        if self.weights is not None:  # objects of random weights are not worth naming
            names = self.class_names.names if self.class_names else facts and facts.classes
        colors = (facts and facts.colors) or object_colors(count)
        return Classes(names, np.array(colors, np.uint8))

    @property
    def category_ids(self) -> Sequence[int]:
        """The ids that annotations have for the classes; else their labels."""
        ids = self.facts.other.get("category_ids") if self.facts else None
        count = self.class_count
        if isinstance(ids, list) and len(ids) == count and all(type(key) is int for key in ids):
            return ids
        return range(count)


MODEL = click.option(
    "--model",
    type=click.Choice(sk.list_models()),
    help="Member of the family.  [default: that of --weights, if it says so, else "
    f"{DEFAULT_MODEL}]",
)
WEIGHTS = click.option(
    "--weights",
    type=WeightsSource(),
    metavar="FILE|FOLDER|NAME",
    help="Checkpoint, .pth or .safetensors; or a folder of save_pretrained, or the name of weights "
    "that come with the package: those say the model, classes, colours, mean and std, too.  "
    "[default: seeded random weights]",
)
THREADS = click.option("--threads", type=click.IntRange(min=1), help="Threads torch may use.")
PRECISION = (
    click.option(
        "--dtype",
        type=click.Choice(list(map(name_of, ELEMENTS))),
        default=name_of(ELEMENTS[0]),
        show_default=True,
        help="Type of the fused network's weights and maps. Of a half type they take half the "
        "memory.",
    ),
    click.option(
        "--keep-float32",
        multiple=True,
        metavar="PART",
        help="With another --dtype: a part of the network that stays float32, such as "
        "backbone.smb2.layer1. May be given several times.",
    ),
)
_TASK = (
    click.option(
        "--task",
        type=click.Choice(list(TASKS)),
        help="What it is for.  [default: that of the weights, if they say so, else segmentation]",
    ),
    click.option(
        "--num-classes",
        type=click.IntRange(1, 1 << 16),
        help="Classes of the model.  [default: those of the weights, if they say so, else 150 for "
        "segmentation, 1000 for classification, 80 for detection]",
    ),
)
_READING = (
    THREADS,
    *PRECISION,
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


def precision(dtype: str, keep_float32: tuple[str, ...]) -> dict[str, Any]:
    """What `optimize` and `export_native` take of PRECISION."""
    return {"dtype": getattr(torch, dtype), "keep_float32": keep_float32}


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
        help=f"Classes of the model.  [default: those of the weights or of --classes, else {text}]",
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
        help="Data set that gives classes their names and colours, and images their mean and std.  "
        f"[default: what the folder of --weights says, else {ADE20K.name}]",
    ),
    _classes("those of the weights or of the data set, if it has as many"),
    _num_classes("those of the data set"),
    click.option(
        "--threshold",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        help="For a model of one class: a pixel gets label 1 where the sigmoid of its logit is "
        "above this, else 0.  [default: 0.5]",
    ),
    _resize(
        "Size the network sees; labels keep that of the image.  [default: that of the image, or, "
        "if the folder of --weights says what its longer side should be, scaled to that]"
    ),
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
    _classes("those of the weights, else numbers"),
    _num_classes("1000"),
    _resize(
        "Size to which the whole image is scaled.  [default: the middle 224x224 of the image "
        "scaled to 256 pixels on the shorter side]"
    ),
    *_READING,
)
_DETECTION = (
    MODEL,
    WEIGHTS,
    _classes("those of the weights, else numbers"),
    _num_classes(str(_COCO_CLASSES)),
    click.option(
        "--score",
        type=click.FloatRange(0, 1),
        default=0.3,
        show_default=True,
        help="What the score of an object must exceed.",
    ),
    click.option(
        "--iou",
        type=click.FloatRange(0, 1),
        default=0.5,
        show_default=True,
        help="Of two boxes of a class that overlap by more than this, as intersection over union, "
        "the surer one stays.",
    ),
    _resize(
        "Size the network sees; boxes keep that of the image.  [default: that of the image, or, "
        "if the folder of --weights says what its longer side should be, scaled to that]"
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


precision_options = _adding(PRECISION)
task_options = _adding(_TASK)  # of commands that write a model
segmentation_options = _adding(_SEGMENTATION)
classification_options = _adding(_CLASSIFICATION)
detection_options = _adding(_DETECTION)
batch_options = _adding(_BATCH)  # of commands that work through many images
