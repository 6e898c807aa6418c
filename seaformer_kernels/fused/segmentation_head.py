"""The segmentation head with its last fusion and classifier as one op."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
from seaformer_kernels.fused.fusion_gate import folded_gate
from seaformer_kernels.fused.int8 import enter_int8
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


@dataclass(frozen=True)
class FoldedLastFusion:
    """What a plain head does from its last fusion on, as `ops.pack_segmentation_head` takes it."""

    local: Folded
    coarse: Folded
    shift: Tensor
    classifier: Folded

    @classmethod
    def of(cls, head: nn.Module) -> tuple[FoldedLastFusion, list[nn.Module]]:
        """Of a head, and its gates but the last; raises Unservable unless there are kernels."""
        check_forward(head, SegmentationHead)
        *gates, last = (head.get_submodule(step.path) for step in head.graph.steps)
        local, coarse = folded_gate(last)
        fuse, classifier = classification(head)
        # scale * (local * gate) + shift = (scale * local) * gate + shift
        return cls(local.scaled(fuse.weight.flatten()), coarse, fuse.bias, classifier), gates

    def packed(self, dtype: torch.dtype) -> Tensor:
        """Weights for `ops.segmentation_head`."""
        return ops.pack_segmentation_head(
            self.local.rounded(),
            self.coarse.rounded(),
            self.shift.float(),
            self.classifier.rounded(),
            dtype=dtype,
        )


class FusedSegmentationHead(FusedBlock):
    """A `SegmentationHead` for inference; channels_last logits of the type of the weights out.

    One of int8 takes float32 maps and gives float32 logits.

    Args:
        packed: from `ops.pack_segmentation_head` or `ops.pack_int8_segmentation_head`.
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
    ) -> FusedSegmentationHead:
        """The fused form of a plain head, in this type; the gates but the last are its own."""
        folded, gates = FoldedLastFusion.of(head)
        return cls(folded.packed(dtype), len(folded.classifier.bias), gates)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return ops.segmentation_head(*self._last(features), self.packed, self.num_classes)

    def labels(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """The labels of `upsample_argmax(self(features), size)`, in one op."""
        return ops.segmentation_labels(*self._last(features), self.packed, self.num_classes, size)

    def _last(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The two maps of the last fusion."""
        local, coarse = self.graph.run(self, *features)
        if self.dtype == torch.int8:
            return enter_int8(local, self.packed), enter_int8(coarse, self.packed, coarse=True)
        return self.in_dtype(local), self.in_dtype(coarse)
