"""What a recipe trains: its model, data, loss and validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from seaformer_kernels import create_model, load_checkpoint
from seaformer_kernels.training.class_weights import counted_once
from seaformer_kernels.training.errors import TrainingError
from seaformer_kernels.training.losses import SegmentationLoss
from seaformer_kernels.training.recipe import (
    ClassificationRecipe,
    Recipe,
    SegmentationRecipe,
)
from seaformer_kernels.training.run_folder import RunFolder
from seaformer_kernels.training.samples import seed_of
from seaformer_kernels.training.trainer import Task
from seaformer_kernels.training.validation import SegmentationValidation


def make_task(
    recipe: SegmentationRecipe | ClassificationRecipe,
    training: Any,
    validation: Any,
    folder: RunFolder,
    fabric: Fabric,
) -> Task:
    """What a recipe trains on these data sets.

    Raises:
        TrainingError: recipe and data do not fit.
        CheckpointError: the initial weights cannot be read, or do not fit.
    """
    if isinstance(recipe, SegmentationRecipe):
        return _segmentation(recipe, training, validation, folder, fabric)
    raise TrainingError("Classification is not there yet.")


def _segmentation(
    recipe: SegmentationRecipe, training: Any, validation: Any, folder: RunFolder, fabric: Fabric
) -> Task:
    from seaformer_kernels.data.transforms import SegmentationTransform

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
    return Task(
        _model(recipe, len(facts.classes)),
        training,
        transform,
        _segmentation_loss(recipe, training, folder, fabric),
        SegmentationValidation(validation, augment.resize, fabric.global_rank, fabric.world_size),
    )


def _segmentation_loss(
    recipe: SegmentationRecipe, training: Any, folder: RunFolder, fabric: Fabric
) -> SegmentationLoss:
    classes = len(training.facts.classes)
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
        return SegmentationLoss(weights, ignore_label=training.facts.ignore_label)
    return SegmentationLoss(weights, hard.threshold, hard.min_share, training.facts.ignore_label)


def _model(recipe: Recipe, classes: int) -> nn.Module:
    """The model with its initial weights, the same in all processes."""
    torch.manual_seed(seed_of(recipe.seed))
    model = create_model(recipe.model, recipe.task, classes)  # type: ignore[attr-defined]
    if recipe.weights is not None:
        load_checkpoint(model, Path(recipe.weights), strict=False)
    return model
