"""The classification head."""

from torch import Tensor, nn


class ClassificationHead(nn.Linear):
    """Global average pooling, dropout (in training only) and a linear classifier.

    Maps [B, channels, H, W] to logits [B, num_classes] of the same floating dtype. It extends the
    linear layer because released checkpoints have no other name for its weight and bias.

    Args:
        channels: width of the feature map.
        num_classes: number of classes.
        dropout: probability of dropping a pooled feature.
    """

    def __init__(self, channels: int, num_classes: int, dropout: float = 0.2):
        super().__init__(channels, num_classes)
        self.dropout = nn.Dropout(dropout)
        nn.init.trunc_normal_(self.weight, std=0.02)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.dropout(x.mean((2, 3))))
