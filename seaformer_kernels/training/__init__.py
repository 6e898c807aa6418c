"""Training by recipes, which resumes to the same curve: pip install 'seaformer-kernels[train]'."""

from seaformer_kernels.training.detection import DetectionLoss
from seaformer_kernels.training.distillation import DistillationLoss, halved
from seaformer_kernels.training.errors import RecipeError, Stopped, TrainingError
from seaformer_kernels.training.losses import ClassificationLoss, LossSum, SegmentationLoss
from seaformer_kernels.training.machine import Machine
from seaformer_kernels.training.recipe import (
    ClassificationAugmentation,
    ClassificationLossRecipe,
    ClassificationRecipe,
    DetectionAugmentation,
    DetectionLossRecipe,
    DetectionRecipe,
    DistillationRecipe,
    HardExamples,
    OptimizerRecipe,
    QuantizationRecipe,
    Recipe,
    ScheduleRecipe,
    SegmentationAugmentation,
    SegmentationLossRecipe,
    SegmentationRecipe,
    load_recipe,
)
from seaformer_kernels.training.run_folder import RunFolder
from seaformer_kernels.training.tasks import check_weights, make_task
from seaformer_kernels.training.trainer import Observer, Task, Trainer
from seaformer_kernels.training.validation import (
    ClassificationValidation,
    DetectionValidation,
    SegmentationValidation,
    Validation,
)

__all__ = [
    "ClassificationAugmentation",
    "ClassificationLoss",
    "ClassificationLossRecipe",
    "ClassificationRecipe",
    "ClassificationValidation",
    "DetectionAugmentation",
    "DetectionLoss",
    "DetectionLossRecipe",
    "DetectionRecipe",
    "DetectionValidation",
    "DistillationLoss",
    "DistillationRecipe",
    "HardExamples",
    "LossSum",
    "Machine",
    "Observer",
    "OptimizerRecipe",
    "QuantizationRecipe",
    "Recipe",
    "RecipeError",
    "RunFolder",
    "ScheduleRecipe",
    "SegmentationAugmentation",
    "SegmentationLoss",
    "SegmentationLossRecipe",
    "SegmentationRecipe",
    "SegmentationValidation",
    "Stopped",
    "Task",
    "Trainer",
    "TrainingError",
    "Validation",
    "check_weights",
    "halved",
    "load_recipe",
    "make_task",
]
