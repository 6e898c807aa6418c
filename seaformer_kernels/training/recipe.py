"""Recipes: what to train, on what, and how, read strictly from YAML files."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from seaformer_kernels import list_models
from seaformer_kernels.training.distillation import CrossEntropy, DistillationLoss
from seaformer_kernels.training.errors import RecipeError
from seaformer_kernels.training.strict import build, read_yaml


@dataclass(frozen=True)
class SegmentationAugmentation:
    """How a training sample is made of an image and its mask.

    Attributes:
        crop: height and width that the network sees.
        scale: range of the random scale.
        resize: height and width into which the image is fitted, its shape kept, before scaling;
            None for its own size.
        max_share: largest share of the crop that one class should have.
        flip: probability of a flip.
        sizes: factors of the crop, of which each step takes one.
        distort: whether brightness, contrast, saturation and hue change.
    """

    crop: tuple[int, int]
    scale: tuple[float, float] = (0.5, 2.0)
    resize: tuple[int, int] | None = None
    max_share: float = 0.75
    flip: float = 0.5
    sizes: tuple[float, ...] = (1.0,)
    distort: bool = True


@dataclass(frozen=True)
class ClassificationAugmentation:
    """How a training sample is made of an image.

    Attributes:
        size: side of the square that the network sees.
        randaugment: magnitude of RandAugment, to 30; 0 for none.
        erasing: probability of erasing a rectangle.
        flip: probability of a flip.
    """

    size: int = 224
    randaugment: int = 9
    erasing: float = 0.2
    flip: float = 0.5


@dataclass(frozen=True)
class DetectionAugmentation:
    """How a training sample is made of an image and its boxes.

    Attributes:
        size: height and width that the network sees, in training and in validation.
        scale: range of the random scale; at 1 all of the image is seen, above it a part.
        keep_ratio: whether images keep their ratio, with padding; else they are stretched.
        flip: probability of a flip.
        distort: whether brightness, contrast, saturation and hue change.
        mosaic: probability of four images in one.
    """

    size: tuple[int, int]
    scale: tuple[float, float] = (1.0, 1.0)
    keep_ratio: bool = True
    flip: float = 0.5
    distort: bool = True
    mosaic: float = 0.0


@dataclass(frozen=True)
class OptimizerRecipe:
    """The optimiser; parameters of one dimension and position embeddings do not decay.

    Attributes:
        name: torch's AdamW, or RMSprop as TensorFlow has it.
        lr: learning rate, one for all models or one by the name of each.
        weight_decay: of the weights of convolutions and linear layers.
        head_lr: factor on the learning rate of the head.
        betas: of AdamW.
        alpha, momentum, eps: of RMSprop.
    """

    name: Literal["adamw", "rmsprop"]
    lr: float | dict[str, float]
    weight_decay: float = 0.01
    head_lr: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)
    alpha: float = 0.9
    momentum: float = 0.9
    eps: float = 1e-3


@dataclass(frozen=True)
class ScheduleRecipe:
    """The learning rate over the steps: a linear warm-up, then the decay.

    Attributes:
        name: "poly" is (1 - t) ** power, "cosine" half a period, of the share t that is done;
            "step" falls to a tenth at each of some shares.
        power: of "poly".
        drops: of "step": those shares.
        warmup_steps: length of the warm-up.
        warmup_ratio: share of the learning rate at which the warm-up begins.
    """

    name: Literal["poly", "cosine", "step"]
    power: float = 1.0
    drops: tuple[float, ...] = (2 / 3, 11 / 12)
    warmup_steps: int = 0
    warmup_ratio: float = 1e-6


@dataclass(frozen=True)
class HardExamples:
    """Online hard example mining: pixels that the network is sure of do not count.

    Attributes:
        threshold: likelihood of the true class from which a pixel is easy.
        min_share: share of an image's pixels, the hardest, that count in any case.
    """

    threshold: float = 0.7
    min_share: float = 0.0625


@dataclass(frozen=True)
class SegmentationLossRecipe:
    """Cross-entropy over pixels, the logits resized to the mask.

    Attributes:
        class_weights: one a class; "auto" for 1 / sqrt(frequency), scaled to a mean of 1; None
            for none.
        hard_examples: None counts all pixels.
    """

    class_weights: Literal["auto"] | tuple[float, ...] | None = None
    hard_examples: HardExamples | None = None


@dataclass(frozen=True)
class DistillationRecipe:
    """A teacher of the full image; see `DistillationLoss`.

    Attributes:
        teacher: folder of `save_pretrained`, or checkpoint, relative to the recipe's folder; has to
            be given when it is trained.
        teacher_model: member of the family that a checkpoint is of; None for the student's.
        student, lifted, features, kl: weights of the terms, 0 for none.
        temperature: of the term kl.
    """

    teacher: str | None = None
    teacher_model: str | None = None
    student: float = 1.0
    lifted: float = 1.0
    features: float = 1.0
    kl: float = 1.0
    temperature: float = 1.0


@dataclass(frozen=True)
class ClassificationLossRecipe:
    """Cross-entropy over images.

    Attributes:
        label_smoothing: share of a target that all classes have in equal parts.
    """

    label_smoothing: float = 0.0


@dataclass(frozen=True)
class DetectionLossRecipe:
    """Focal loss of the classes and a loss of the boxes; see `DetectionLoss`.

    Attributes:
        box: "smooth_l1" of deltas, or "giou" of boxes.
        box_weight: what it counts beside the classes.
        alpha, gamma: of the focal loss.
    """

    box: Literal["smooth_l1", "giou"] = "smooth_l1"
    box_weight: float = 1.0
    alpha: float = 0.25
    gamma: float = 2.0


@dataclass(frozen=True)
class QuantizationRecipe:
    """Training through what int8 rounds, from weights that are good in float32 (`prepare_qat`).

    Attributes:
        num_samples: training images that give maps their ranges, evenly spread.
        observer: how the range of a map is found.
        skip: names of parts that stay float.
        equalize: whether channels between two layers are given ranges alike before.
    """

    num_samples: int = 300
    observer: Literal["histogram", "minmax"] = "histogram"
    skip: tuple[str, ...] = ()
    equalize: bool = True


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What all tasks have in common.

    Attributes:
        data: name of the data set, as ``open_data`` takes it.
        model: member of the family.
        batch: images a step, of all processes together.
        epochs, steps: length; one of them is given. An epoch leaves out what fills no batch.
        optimizer, schedule: see there.
        ema: decay of the exponential moving average of the weights, which is then what is
            validated and kept; None for none.
        clip: largest norm of the gradient; None for any.
        dropout: before the classifier; None for the model's own.
        weights: folder of `save_pretrained`, or checkpoint, to start from, whose head may differ;
            relative to the recipe's folder.
        quantization: makes it the training of an int8 model, whose weights have to be given; None
            for float32.
        validate_every: epochs from one validation to the next; the last is always validated.
        seed: of weights, order, augmentation and dropout.
    """

    data: str
    model: str
    batch: int
    optimizer: OptimizerRecipe
    schedule: ScheduleRecipe
    epochs: int | None = None
    steps: int | None = None
    ema: float | None = None
    clip: float | None = None
    dropout: float | None = None
    weights: str | None = None
    quantization: QuantizationRecipe | None = None
    validate_every: int = 1
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class SegmentationRecipe(Recipe):
    """Training a segmenter.

    Attributes:
        half: whether the model reads images at half the size of crop, resize or the file.
        upsample: whether its head lifts its map to twice the size (`create_model`).
        distillation: a teacher, whose loss then takes the place of the common one; None for none.
    """

    augment: SegmentationAugmentation
    task: Literal["segmentation"] = "segmentation"
    loss: SegmentationLossRecipe = field(default_factory=SegmentationLossRecipe)
    half: bool = False
    upsample: bool = False
    distillation: DistillationRecipe | None = None


@dataclass(frozen=True, kw_only=True)
class ClassificationRecipe(Recipe):
    """Training a classifier."""

    task: Literal["classification"] = "classification"
    augment: ClassificationAugmentation = field(default_factory=ClassificationAugmentation)
    loss: ClassificationLossRecipe = field(default_factory=ClassificationLossRecipe)


@dataclass(frozen=True, kw_only=True)
class DetectionRecipe(Recipe):
    """Training a detector.

    Attributes:
        head: "retina", or "light" for small processors (`create_model`).
    """

    augment: DetectionAugmentation
    task: Literal["detection"] = "detection"
    loss: DetectionLossRecipe = field(default_factory=DetectionLossRecipe)
    head: Literal["retina", "light"] = "retina"


AnyRecipe = SegmentationRecipe | ClassificationRecipe | DetectionRecipe

_TASKS: dict[str, type[Recipe]] = {
    "segmentation": SegmentationRecipe,
    "classification": ClassificationRecipe,
    "detection": DetectionRecipe,
}


def load_recipe(
    path: str | os.PathLike[str], changes: Mapping[str, Any] | None = None
) -> AnyRecipe:
    """The recipe of a YAML file, for the one model that it names.

    Args:
        path: the file.
        changes: values that replace the file's, by dotted key such as "optimizer.lr"; None takes
            a key out.

    Raises:
        RecipeError: the file cannot be read, or a key is missing, unknown or of a wrong type or
            value.
    """
    path = Path(path)
    content = read_yaml(path)
    for key, value in (changes or {}).items():
        _put(path, content, key, value)
    return parse_recipe(content, path)


def parse_recipe(content: Mapping[str, Any], path: Path) -> AnyRecipe:
    """As `load_recipe`, of what the file at `path` holds."""
    task = content.get("task", "(none)")
    if not isinstance(task, str) or task not in _TASKS:
        raise RecipeError(f"{path}: task: expected {', '.join(_TASKS)}, got {task!r}.")
    recipe: Any = build(_TASKS[task], content, str(path))
    recipe = _for_model(recipe, path)
    _check(recipe, path)
    if recipe.weights is not None:
        recipe = dataclasses.replace(recipe, weights=str(path.parent / recipe.weights))
    distillation = getattr(recipe, "distillation", None)
    if distillation is not None and distillation.teacher is not None:
        teacher = str(path.parent / distillation.teacher)
        distillation = dataclasses.replace(distillation, teacher=teacher)
        recipe = dataclasses.replace(recipe, distillation=distillation)
    return recipe


def recipe_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Dotted keys in which two recipes as dictionaries differ."""
    found = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += [f"{key}.{inner}" for inner in recipe_differences(old, new)]
        elif old != new:
            found.append(key)
    return found


def distillation_loss(
    recipe: DistillationRecipe, cross_entropy: CrossEntropy | None = None
) -> DistillationLoss:
    """The loss that a recipe asks for.

    Raises:
        ValueError: a value is out of its range.
    """
    weights = {name: getattr(recipe, name) for name in ("student", "lifted", "features", "kl")}
    return DistillationLoss(**weights, temperature=recipe.temperature, cross_entropy=cross_entropy)


def _put(path: Path, content: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        inner = content.setdefault(section, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"{path}: {section} has no key {last!r}: it is {inner!r}.")
        content = inner
    if value is None:
        content.pop(last, None)
    else:
        content[last] = value


def _for_model(recipe: Recipe, path: Path) -> Recipe:
    """With the learning rate of the recipe's model."""
    lr = recipe.optimizer.lr
    if not isinstance(lr, dict):
        return recipe
    if recipe.model not in lr:
        raise RecipeError(
            f"{path}: optimizer.lr: expected one for {recipe.model}, got {', '.join(lr)}."
        )
    optimizer = dataclasses.replace(recipe.optimizer, lr=lr[recipe.model])
    return dataclasses.replace(recipe, optimizer=optimizer)


Check = Callable[[bool, str, str], None]  # of whether a key is fine, the key, and what is


def _check(recipe: AnyRecipe, path: Path) -> None:
    """Raises RecipeError for a value that is out of its range."""

    def check(fine: bool, key: str, expected: str) -> None:
        value: Any = recipe
        for name in key.split("."):
            value = getattr(value, name)
        if not fine:
            raise RecipeError(f"{path}: {key}: expected {expected}, got {value!r}.")

    models = list_models()
    check(recipe.model in models, "model", f"one of {', '.join(models)}")
    if (recipe.epochs is None) == (recipe.steps is None):
        got = "both" if recipe.epochs else "neither"
        raise RecipeError(f"{path}: expected either epochs or steps, got {got}.")
    for key in ("batch", "epochs", "steps", "validate_every"):
        value = getattr(recipe, key)
        check(value is None or value > 0, key, "a positive integer")
    check(recipe.seed >= 0, "seed", "an integer from 0 up")
    check(recipe.ema is None or 0 < recipe.ema < 1, "ema", "a number between 0 and 1")
    check(recipe.clip is None or recipe.clip > 0, "clip", "a positive number")
    check(recipe.dropout is None or 0 <= recipe.dropout < 1, "dropout", "a number from 0 below 1")
    optimizer, schedule = recipe.optimizer, recipe.schedule
    check(isinstance(optimizer.lr, float) and optimizer.lr > 0, "optimizer.lr", "a positive number")
    check(optimizer.weight_decay >= 0, "optimizer.weight_decay", "a number from 0 up")
    check(optimizer.head_lr > 0, "optimizer.head_lr", "a positive number")
    check(optimizer.eps > 0, "optimizer.eps", "a positive number")
    for key in ("alpha", "momentum"):
        value = getattr(optimizer, key)
        check(0 <= value < 1, f"optimizer.{key}", "a number from 0 below 1")
    betas = all(0 <= beta < 1 for beta in optimizer.betas)
    check(betas, "optimizer.betas", "two numbers from 0 below 1")
    check(schedule.warmup_steps >= 0, "schedule.warmup_steps", "an integer from 0 up")
    check(0 <= schedule.warmup_ratio <= 1, "schedule.warmup_ratio", "a number from 0 to 1")
    check(schedule.power > 0, "schedule.power", "a positive number")
    fine = all(0 < share < 1 for share in schedule.drops)
    check(fine, "schedule.drops", "numbers between 0 and 1")
    check(0 <= recipe.augment.flip <= 1, "augment.flip", "a number from 0 to 1")
    if recipe.quantization is not None:
        fine = recipe.quantization.num_samples > 0
        check(fine, "quantization.num_samples", "a positive integer")
    if isinstance(recipe, SegmentationRecipe):
        _check_segmentation(recipe, check, path)
    elif isinstance(recipe, DetectionRecipe):
        _check_detection(recipe, check)
    else:
        _check_classification(recipe, check)


def _check_segmentation(recipe: SegmentationRecipe, check: Check, path: Path) -> None:
    augment = recipe.augment
    check(min(augment.crop) >= 32, "augment.crop", "a height and width from 32 up")
    _check_scale(augment.scale, check)
    fine = len(augment.sizes) > 0 and min(augment.sizes, default=1) > 0
    check(fine, "augment.sizes", "positive factors, at least one")
    fine = augment.resize is None or min(augment.resize) > 0
    check(fine, "augment.resize", "a positive height and width")
    check(0 < augment.max_share <= 1, "augment.max_share", "a number from 0 to 1")
    fine = not recipe.half or min(augment.crop) * min(augment.sizes) >= 64
    expected = "a height and width from 64 up, of which the model reads half"
    check(fine, "augment.crop", f"{expected}, at each of augment.sizes")
    if recipe.distillation is not None:
        teacher = recipe.distillation.teacher_model
        fine = teacher is None or teacher in list_models()
        check(fine, "distillation.teacher_model", f"one of {', '.join(list_models())}")
        check(recipe.half, "half", "true with distillation")
        check(recipe.quantization is None, "quantization", "none with distillation")
        try:
            distillation_loss(recipe.distillation)
        except ValueError as error:
            raise RecipeError(f"{path}: distillation: {error}") from None
    weights, hard = recipe.loss.class_weights, recipe.loss.hard_examples
    fine = not isinstance(weights, tuple) or (min(weights, default=0) >= 0 < sum(weights))
    check(fine, "loss.class_weights", "numbers from 0 up that are not all 0")
    if hard is not None:
        fine = 0 < hard.threshold <= 1
        check(fine, "loss.hard_examples.threshold", "a number from 0 to 1")
        fine = 0 < hard.min_share <= 1
        check(fine, "loss.hard_examples.min_share", "a number from 0 to 1")


def _check_classification(recipe: ClassificationRecipe, check: Check) -> None:
    augment, smoothing = recipe.augment, recipe.loss.label_smoothing
    check(augment.size >= 32, "augment.size", "an integer from 32 up")
    check(0 <= augment.erasing <= 1, "augment.erasing", "a number from 0 to 1")
    check(0 <= augment.randaugment <= 30, "augment.randaugment", "an integer from 0 to 30")
    check(0 <= smoothing < 1, "loss.label_smoothing", "a number from 0 below 1")


def _check_detection(recipe: DetectionRecipe, check: Check) -> None:
    augment, loss = recipe.augment, recipe.loss
    check(min(augment.size) >= 32, "augment.size", "a height and width from 32 up")
    _check_scale(augment.scale, check)
    check(0 <= augment.mosaic <= 1, "augment.mosaic", "a number from 0 to 1")
    check(0 <= loss.alpha <= 1, "loss.alpha", "a number from 0 to 1")
    check(loss.gamma >= 0, "loss.gamma", "a number from 0 up")
    check(loss.box_weight >= 0, "loss.box_weight", "a number from 0 up")


def _check_scale(scale: tuple[float, float], check: Check) -> None:
    fine = 0 < scale[0] <= scale[1]
    check(fine, "augment.scale", "a positive range, the lower end first")
