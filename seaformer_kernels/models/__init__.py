"""The SeaFormer family: models by name, and the checkpoints that fill them."""

from seaformer_kernels.models.backbone import SeaFormerBackbone
from seaformer_kernels.models.checkpoint import (
    CheckpointError,
    CheckpointReport,
    load_checkpoint,
)
from seaformer_kernels.models.classifier import SeaFormerClassifier
from seaformer_kernels.models.config import SeaFormerConfig
from seaformer_kernels.models.create import create_model, list_models
from seaformer_kernels.models.segmenter import SeaFormerSegmenter

__all__ = [
    "CheckpointError",
    "CheckpointReport",
    "SeaFormerBackbone",
    "SeaFormerClassifier",
    "SeaFormerConfig",
    "SeaFormerSegmenter",
    "create_model",
    "list_models",
    "load_checkpoint",
]
