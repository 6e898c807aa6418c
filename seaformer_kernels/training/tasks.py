"""What a recipe trains: its model, data, loss and validation."""

from __future__ import annotations

import dataclasses
import importlib.util
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from seaformer_kernels import (
    ModelFacts,
    create_model,
    from_pretrained,
    load_checkpoint,
    prepare_qat,
)
from seaformer_kernels.data.files import some
from seaformer_kernels.data.transforms import (
    ClassificationTransform,
    DetectionTransform,
    SegmentationTransform,
)
from seaformer_kernels.evaluate import InputSize
from seaformer_kernels.evaluate.average_precision import NEEDS_COCO_EVAL
from seaformer_kernels.models import SeaFormerSegmenter
from seaformer_kernels.models.pretrained.config import WEIGHTS
from seaformer_kernels.training.class_weights import counted_once
from seaformer_kernels.training.detection import DetectionLoss
from seaformer_kernels.training.errors import TrainingError
from seaformer_kernels.training.losses import ClassificationLoss, SegmentationLoss, mean_of
from seaformer_kernels.training.objectives import Distilled, Supervised
from seaformer_kernels.training.recipe import (
    AnyRecipe,
    ClassificationRecipe,
    DetectionAugmentation,
    DetectionRecipe,
    DistillationRecipe,
    QuantizationRecipe,
    Recipe,
    SegmentationRecipe,
    distillation_loss,
)
from seaformer_kernels.training.run_folder import RunFolder
from seaformer_kernels.training.samples import seed_of
from seaformer_kernels.training.trainer import Task
from seaformer_kernels.training.validation import (
    ClassificationValidation,
    DetectionValidation,
    SegmentationValidation,
)


def make_task(
    recipe: AnyRecipe,
    training: Any,
    validation: Any,
    folder: RunFolder,
    fabric: Fabric,
    resumes: bool = False,
) -> Task:
    """What a recipe trains on these data sets, of ``open_data``.

    Args:
        recipe: for one model.
        training, validation: the data sets.
        folder: where counts of classes are kept.
        fabric: of the processes.
        resumes: whether a state will be restored, so that ranges of int8 maps need not be found.

    Raises:
        TrainingError: recipe and data do not fit.
        CheckpointError: the initial weights cannot be read, or do not fit.
    """
    check_weights(recipe)
    if training.task != recipe.task:
        raise TrainingError(
            f"Expected a data set for {recipe.task}, got {recipe.data}, which is for "
            f"{training.task}."
        )
    if isinstance(recipe, ClassificationRecipe):
        task = _classification(recipe, training, validation)
    elif isinstance(recipe, DetectionRecipe):
        task = _detection(recipe, training, validation)
    else:
        task = _segmentation(recipe, training, validation, folder, fabric)
    if recipe.quantization is None:
        return task
    return dataclasses.replace(task, model=prepared(task, recipe.quantization, resumes))


def prepared(task: Task, recipe: QuantizationRecipe, resumes: bool) -> nn.Module:
    """The model of a task as it trains through what int8 rounds.

    Args:
        task: whose validation has `inputs`.
        recipe: how.
        resumes: whether its ranges come with a state.

    Raises:
        TrainingError: the model has no int8 form, or skip names no part of it.
    """
    data: Any = task.data
    count = min(len(data), recipe.num_samples)
    images = (data[i * len(data) // count][0] for i in range(count))
    seen = None if resumes else cast(Any, task.validation).inputs(images)
    task.model.facts = task.facts  # type: ignore[assignment]  # mean and std of its stem
    try:
        return prepare_qat(
            task.model,
            seen,
            num_samples=recipe.num_samples,
            observer=recipe.observer,
            skip=recipe.skip,
            equalize=recipe.equalize,
        )
    except ValueError as error:
        raise TrainingError(str(error)) from None


def check_weights(recipe: Recipe) -> None:
    """Raises TrainingError if a recipe needs weights that it does not name: those of a teacher, or
    those that int8 begins with.
    """
    if recipe.quantization is not None and recipe.weights is None:
        raise TrainingError("Expected weights to train as int8 from (--weights), got none.")
    distillation = getattr(recipe, "distillation", None)
    if distillation is not None and distillation.teacher is None:
        raise TrainingError("Expected the weights of a teacher (--teacher), got none.")


def _segmentation(
    recipe: SegmentationRecipe, training: Any, validation: Any, folder: RunFolder, fabric: Fabric
) -> Task:
    facts, augment = training.facts, recipe.augment
    transform = SegmentationTransform(
        augment.crop,
        scale=augment.scale,
        resize=augment.resize,
        max_share=augment.max_share,
        flip=augment.flip,
        sizes=augment.sizes,
        distort=augment.distort,
        mean=facts.mean,
        std=facts.std,
        ignore_label=facts.ignore_label,
    )
    size = InputSize()
    if augment.resize is not None:
        size = InputSize(short_side=min(augment.resize), long_side=max(augment.resize))
    scale = 0.5 if recipe.half else 1.0
    return Task(
        _model(recipe, len(facts.classes), upsample=recipe.upsample),
        training,
        transform,
        _objective(recipe, _segmentation_loss(recipe, training, folder, fabric), facts, fabric),
        SegmentationValidation(validation, dataclasses.replace(size, scale=scale)),
        ModelFacts.of(facts),
    )


def _objective(
    recipe: SegmentationRecipe, loss: SegmentationLoss, facts: Any, fabric: Fabric
) -> nn.Module:
    if recipe.distillation is None:
        return Supervised(loss, recipe.half)
    return Distilled(
        distillation_loss(recipe.distillation, mean_of(loss)),
        _teacher(recipe.distillation, recipe.model, len(facts.classes)),
        loss,
        lambda weight: cast(Tensor, fabric.all_reduce(weight, reduce_op="mean")),
    )


def _teacher(distillation: DistillationRecipe, student: str, classes: int) -> nn.Module:
    path = Path(distillation.teacher or "")
    if path.is_dir():
        teacher = from_pretrained(path)
        if not isinstance(teacher, SeaFormerSegmenter) or teacher.num_classes != classes:
            raise TrainingError(
                f"Expected a teacher for segmentation into {classes} classes, got {path}, a "
                f"{type(teacher).__name__} of {teacher.num_classes}."
            )
    else:
        teacher = create_model(distillation.teacher_model or student, "segmentation", classes)
        report = load_checkpoint(teacher, path)
        if report.fresh:
            raise TrainingError(f"Expected all weights of a teacher of {classes} classes. {report}")
    return teacher.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _segmentation_loss(
    recipe: SegmentationRecipe, training: Any, folder: RunFolder, fabric: Fabric
) -> SegmentationLoss:
    classes, ignored = len(training.facts.classes), training.facts.ignore_label
    weights: Any = recipe.loss.class_weights
    if weights == "auto":
        if fabric.is_global_zero:
            weights = counted_once(training, classes, folder.class_weights)
        weights = fabric.broadcast(weights)
    elif weights is not None:
        weights = torch.tensor(weights)
    if weights is not None and len(weights) != classes:
        raise TrainingError(
            f"Expected loss.class_weights for {classes} classes, got {len(weights)}."
        )
    hard = recipe.loss.hard_examples
    if hard is None:
        return SegmentationLoss(weights, ignore_label=ignored)
    return SegmentationLoss(weights, hard.threshold, hard.min_share, ignored)


def _classification(recipe: ClassificationRecipe, training: Any, validation: Any) -> Task:
    augment = recipe.augment
    transform = ClassificationTransform(
        augment.size,
        randaugment=augment.randaugment,
        erasing=augment.erasing,
        flip=augment.flip,
        mean=training.mean,
        std=training.std,
    )
    return Task(
        _model(recipe, len(training.classes)),
        training,
        partial(_augmented, transform),
        Supervised(ClassificationLoss(recipe.loss.label_smoothing)),
        ClassificationValidation(validation, augment.size),
        ModelFacts(classes=training.classes, mean=training.mean, std=training.std),
    )


def _detection(recipe: DetectionRecipe, training: Any, validation: Any) -> Task:
    if (training.classes, training.category_ids) != (validation.classes, validation.category_ids):
        raise TrainingError(
            "Expected annotations with the same categories to train and to validate, got "
            f"{some(training.classes)} and {some(validation.classes)}, or other ids of them."
        )
    if importlib.util.find_spec("faster_coco_eval") is None:
        raise TrainingError(NEEDS_COCO_EVAL)
    augment, loss = recipe.augment, recipe.loss
    transform = DetectionTransform(
        augment.size,
        scale=augment.scale,
        keep_ratio=augment.keep_ratio,
        flip=augment.flip,
        distort=augment.distort,
        mosaic=augment.mosaic,
        data=training,
        most=training.most_objects,
        mean=training.mean,
        std=training.std,
    )
    model: Any = _model(recipe, len(training.classes), head=recipe.head)
    return Task(
        model,
        training,
        transform,
        Supervised(DetectionLoss(model.strides, loss.box, loss.box_weight, loss.alpha, loss.gamma)),
        DetectionValidation(validation, _validation_size(augment)),
        ModelFacts(
            classes=training.classes,
            colors=training.colors,
            mean=training.mean,
            std=training.std,
            input_longer_side=max(augment.size),
            other={"category_ids": list(training.category_ids)},
        ),
    )


def _validation_size(augment: DetectionAugmentation) -> InputSize:
    if not augment.keep_ratio:
        return InputSize(augment.size)
    return InputSize(short_side=min(augment.size), long_side=max(augment.size))


def _augmented(
    transform: Any, image: Tensor, label: int, seed: int, _of_batch: int
) -> tuple[Tensor, int]:
    return transform(image, seed), label


def _model(recipe: AnyRecipe, classes: int, **options: Any) -> nn.Module:
    """The model with its initial weights, the same in all processes."""
    torch.manual_seed(seed_of(recipe.seed))
    model = create_model(recipe.model, recipe.task, classes, **options)
    if recipe.weights is not None:
        path = Path(recipe.weights)
        load_checkpoint(model, path / WEIGHTS if path.is_dir() else path, strict=False)
    return model
