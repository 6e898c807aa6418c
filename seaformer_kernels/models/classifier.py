"""SeaFormer for image classification."""

import torch
from torch import Tensor

from seaformer_kernels.models.backbone import SeaFormerBackbone
from seaformer_kernels.models.config import SeaFormerConfig
from seaformer_kernels.models.evaluating import evaluating
from seaformer_kernels.models.sharing import Shareable
from seaformer_kernels.modules import ClassificationHead


class SeaFormerClassifier(SeaFormerBackbone, Shareable):
    """The backbone, global average pooling and a linear classifier.

    It extends the backbone because released classification checkpoints name the backbone's
    parameters without a prefix.

    Args:
        config: which member of the family.
        num_classes: number of classes.
        dropout: probability of dropping a pooled feature, in training only.

    Attributes:
        graph: the steps from images to logits.
        facts: what users need beside the weights; None if nothing is known.
    """

    def __init__(self, config: SeaFormerConfig, num_classes: int = 1000, dropout: float = 0.2):
        super().__init__(config)
        self.num_classes = num_classes
        self.linear = ClassificationHead(config.feature_channels[-1], num_classes, dropout)
        self.graph = self.stages.then("linear")

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, num_classes] of images [B, 3, H, W]; dtypes and errors as in `features`."""
        return self.linear(self.features(x)[-1])

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """The likeliest class of each image.

        Evaluates as in eval mode whatever the mode, and leaves the mode as it was.

        Args:
            x: normalised images [B, 3, H, W] of the parameters' dtype, H and W from 32 up; where
                `optimize` was given a mean and std, raw RGB values, float32 or uint8.

        Returns:
            Class indices [B], int64.

        Raises:
            TypeError, ValueError: as `features`.
        """
        with evaluating(self):
            return self(x).argmax(1)
