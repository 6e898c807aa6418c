"""Accuracy of models on data sets."""

from seaformer_kernels.evaluate.average_precision import DetectionMetrics, DetectionResult
from seaformer_kernels.evaluate.classification import evaluate_classification
from seaformer_kernels.evaluate.detection import evaluate_detection
from seaformer_kernels.evaluate.metrics import (
    ClassificationMetrics,
    ClassificationResult,
    SegmentationMetrics,
    SegmentationResult,
)
from seaformer_kernels.evaluate.segmentation import evaluate_segmentation
from seaformer_kernels.evaluate.views import InputSize, SlidingWindow, Views

__all__ = [
    "ClassificationMetrics",
    "ClassificationResult",
    "DetectionMetrics",
    "DetectionResult",
    "InputSize",
    "SegmentationMetrics",
    "SegmentationResult",
    "SlidingWindow",
    "Views",
    "evaluate_classification",
    "evaluate_detection",
    "evaluate_segmentation",
]
