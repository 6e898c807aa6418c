"""Accuracy of models on data sets."""

from seaformer_kernels.evaluate.metrics import (
    ClassificationMetrics,
    ClassificationResult,
    SegmentationMetrics,
    SegmentationResult,
)

__all__ = [
    "ClassificationMetrics",
    "ClassificationResult",
    "SegmentationMetrics",
    "SegmentationResult",
]
