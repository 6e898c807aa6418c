"""What a recipe trains: its model, data, loss and validation."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from seaformer_kernels import create_model, load_checkpoint
from seaformer_kernels.data.transforms import ClassificationTransform, SegmentationTransform
from seaformer_kernels.evaluate import InputSize
from seaformer_kernels.training.class_weights import counted_once
from seaformer_kernels.training.errors import TrainingError
from seaformer_kernels.training.losses import ClassificationLoss, SegmentationLoss
from seaformer_kernels.training.recipe import ClassificationRecipe, SegmentationRecipe
from seaformer_kernels.training.run_folder import RunFolder
from seaformer_kernels.training.samples import seed_of
from seaformer_kernels.training.trainer import Task
from seaformer_kernels.training.validation import (
    ClassificationValidation,
    SegmentationValidation,
)


def make_task(
    recipe: SegmentationRecipe | ClassificationRecipe,
    training: Any,
    validation: Any,
    folder: RunFolder,
    fabric: Fabric,
) -> Task:
    """What a recipe trains on these data sets, of ``open_data``.

    Raises:
        TrainingError: recipe and data do not fit.
        CheckpointError: the initial weights cannot be read, or do not fit.
    """
    classifies = isinstance(recipe, ClassificationRecipe)
    if classifies == hasattr(training, "facts"):
        raise TrainingError(
            f"Expected a data set for {recipe.task}, got {recipe.data}, which is for another task."
        )
    if isinstance(recipe, ClassificationRecipe):
        return _classification(recipe, training, validation)
    return _segmentation(recipe, training, validation, folder, fabric)


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
        distort=augment.distort,
        mean=facts.mean,
        std=facts.std,
        ignore_label=facts.ignore_label,
    )
    size = InputSize()
    if augment.resize is not None:
        size = InputSize(short_side=min(augment.resize), long_side=max(augment.resize))
    return Task(
        _model(recipe, len(facts.classes)),
        training,
        transform,
        _segmentation_loss(recipe, training, folder, fabric),
        SegmentationValidation(validation, size),
    )


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
        ClassificationLoss(recipe.loss.label_smoothing),
        ClassificationValidation(validation, augment.size),
    )


def _augmented(transform: Any, image: Tensor, label: int, seed: int) -> tuple[Tensor, int]:
    return transform(image, seed), label


def _model(recipe: SegmentationRecipe | ClassificationRecipe, classes: int) -> nn.Module:
    """The model with its initial weights, the same in all processes."""
    torch.manual_seed(seed_of(recipe.seed))
    model = create_model(recipe.model, recipe.task, classes)
    if recipe.weights is not None:
        load_checkpoint(model, Path(recipe.weights), strict=False)
    return model
