"""SeaFormer for image classification."""

import torch
from torch import Tensor, nn

from seaformer_kernels.models.backbone import SeaFormerBackbone
from seaformer_kernels.models.config import SeaFormerConfig
from seaformer_kernels.models.evaluating import evaluating


class SeaFormerClassifier(SeaFormerBackbone):
    """The backbone, global average pooling and a linear classifier.

    It extends the backbone because released classification checkpoints name the backbone's
    parameters without a prefix.

    Args:
        config: which member of the family.
        num_classes: number of classes.
        dropout: probability of dropping a pooled feature, in training only.
    """

    def __init__(self, config: SeaFormerConfig, num_classes: int = 1000, dropout: float = 0.2):
        super().__init__(config)
        self.num_classes = num_classes
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(config.feature_channels[-1], num_classes)
        nn.init.trunc_normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, num_classes] of images [B, 3, H, W]; dtypes and errors as in `features`."""
        return self.linear(self.dropout(self.features(x)[-1].mean((2, 3))))

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """The likeliest class of each image.

        Evaluates as in eval mode whatever the mode, and leaves the mode as it was.

        Args:
            x: normalised images [B, 3, H, W] of the parameters' dtype, H and W from 32 up.

        Returns:
            Class indices [B], int64.

        Raises:
            TypeError, ValueError: as `features`.
        """
        with evaluating(self):
            return self(x).argmax(1)
