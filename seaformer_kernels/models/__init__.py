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
from seaformer_kernels.models.detections import Detections
from seaformer_kernels.models.detector import SeaFormerDetector
from seaformer_kernels.models.pretrained import (
    ModelFacts,
    from_pretrained,
    list_pretrained,
    save_pretrained,
)
from seaformer_kernels.models.segmenter import SeaFormerSegmenter

__all__ = [
    "CheckpointError",
    "CheckpointReport",
    "Detections",
    "ModelFacts",
    "SeaFormerBackbone",
    "SeaFormerClassifier",
    "SeaFormerConfig",
    "SeaFormerDetector",
    "SeaFormerSegmenter",
    "create_model",
    "from_pretrained",
    "list_models",
    "list_pretrained",
    "load_checkpoint",
    "save_pretrained",
]
