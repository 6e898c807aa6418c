"""The classification head as one op."""

import torch
from torch import Tensor, nn

from seaformer_kernels import ops
from seaformer_kernels.fused.block import FusedBlock, check_forwards, check_type
from seaformer_kernels.fused.folding import Folded, fold
from seaformer_kernels.modules.classification_head import ClassificationHead


class FusedClassificationHead(FusedBlock):
    """A `ClassificationHead` for inference; logits of the type of the weights.

    Args:
        packed: from `ops.pack_classification_head`.
        num_classes: number of classes.
    """

    makes_map = False

    def __init__(self, packed: Tensor, num_classes: int):
        super().__init__(packed=packed)
        self.num_classes = num_classes

    @classmethod
    def of(
        cls, head: ClassificationHead, *, dtype: torch.dtype = torch.float32
    ) -> "FusedClassificationHead":
        """The fused form of a plain head, in this type."""
        check_forwards(head, ClassificationHead)
        check_type(head.dropout, nn.Dropout, nn.Identity)
        return cls.from_folded(fold(head), dtype=dtype)

    @classmethod
    def from_folded(
        cls, folded: Folded, *, dtype: torch.dtype = torch.float32
    ) -> "FusedClassificationHead":
        """The head of a linear layer, [out, in] or [out, in, 1, 1], in this type."""
        folded = Folded(folded.weight.flatten(1), folded.bias)
        packed = ops.pack_classification_head(folded.rounded(), dtype=dtype)
        return cls(packed, len(folded.bias))

    def forward(self, x: Tensor) -> Tensor:
        return ops.classification_head(self.in_dtype(x), self.packed, self.num_classes)
