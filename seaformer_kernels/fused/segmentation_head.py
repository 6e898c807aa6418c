"""The segmentation head with its last fusion and classifier as one op."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from seaformer_kernels import ops
from seaformer_kernels.fused.block import (
    FusedBlock,
    check_forward,
    check_forwards,
    check_type,
)
from seaformer_kernels.fused.folding import Folded, check_conv, fold, fold_conv_bn
from seaformer_kernels.modules.fusion_gate import FusionGate
from seaformer_kernels.modules.segmentation_head import SegmentationHead, fusions


def classification(head: SegmentationHead) -> tuple[Folded, Folded]:
    """What follows the graph of a plain head: the scale and shift of each channel, the classifier.

    Raises:
        Unservable: something else follows.
    """
    check_forwards(head.linear_fuse, nn.Sequential)
    check_forwards(head.conv_seg, nn.Conv2d)
    check_forwards(head.dropout, type(head.dropout))
    check_type(head.dropout, nn.Dropout2d, nn.Dropout, nn.Identity)
    check_type(head.conv_seg, nn.Conv2d)
    check_conv(head.conv_seg)
    return fold_conv_bn(head.linear_fuse, depthwise=True), fold(head.conv_seg)


class FusedSegmentationHead(FusedBlock):
    """A `SegmentationHead` for inference; channels_last logits of the type of the weights out.

    Args:
        packed: from `ops.pack_segmentation_head`.
        num_classes: number of classes.
        gates: the fusions but the last, finest first, each a module of local and coarse features.

    Attributes:
        graph: the steps from the feature maps to the two of the last fusion.
    """

    def __init__(self, packed: Tensor, num_classes: int, gates: Iterable[nn.Module] = ()):
        super().__init__(packed=packed)
        self.num_classes = num_classes
        gates = list(gates)
        self.graph = fusions(len(gates) + 1).before_last()
        for step, gate in zip(self.graph.steps, gates, strict=True):
            self.add_module(step.path, gate)

    @classmethod
    def of(
        cls, head: SegmentationHead, *, dtype: torch.dtype = torch.float32
    ) -> "FusedSegmentationHead":
        """The fused form of a plain head, in this type; the gates but the last are its own."""
        check_forward(head, SegmentationHead)
        *gates, last = (head.get_submodule(step.path) for step in head.graph.steps)
        check_forwards(last, FusionGate)
        fuse, classifier = classification(head)
        packed = ops.pack_segmentation_head(
            # scale * (local * gate) + shift = (scale * local) * gate + shift
            fold_conv_bn(last.local_embedding).scaled(fuse.weight.flatten()).rounded(),
            fold_conv_bn(last.global_act).rounded(),
            fuse.bias.float(),
            classifier.rounded(),
            dtype=dtype,
        )
        return cls(packed, len(classifier.bias), gates)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return ops.segmentation_head(*self._last(features), self.packed, self.num_classes)

    def labels(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """The labels of `upsample_argmax(self(features), size)`, in one op."""
        return ops.segmentation_labels(*self._last(features), self.packed, self.num_classes, size)

    def _last(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The two maps of the last fusion."""
        local, coarse = self.graph.run(self, *features)
        return self.in_dtype(local), self.in_dtype(coarse)
