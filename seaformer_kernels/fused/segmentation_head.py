"""The segmentation head with its last fusion and classifier as one op."""

from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from seaformer_kernels import ops
from seaformer_kernels.fused.block import (
    FusedBlock,
    check_forward,
    check_forwards,
    check_type,
)
from seaformer_kernels.fused.folding import check_conv, fold, fold_conv_bn
from seaformer_kernels.modules.fusion_gate import FusionGate
from seaformer_kernels.modules.segmentation_head import SegmentationHead


class FusedSegmentationHead(FusedBlock):
    """A `SegmentationHead` for inference; float32 in, float32 channels_last out.

    Args:
        packed: from `ops.pack_segmentation_head`.
        num_classes: number of classes.
        gates: the fusions but the last, finest first, each a module of local and coarse features.
    """

    def __init__(self, packed: Tensor, num_classes: int, gates: Iterable[nn.Module] = ()):
        super().__init__(packed=packed)
        self.num_classes = num_classes
        for number, gate in enumerate(gates, 1):
            self.add_module(f"fuse{number}", gate)

    @classmethod
    def of(cls, head: SegmentationHead) -> "FusedSegmentationHead":
        """The fused form of a plain head; the gates but the last are the head's own."""
        check_forward(head, SegmentationHead)
        *gates, last = fusions(head)
        check_forwards(last, FusionGate)
        check_forwards(head.linear_fuse, nn.Sequential)
        check_forwards(head.conv_seg, nn.Conv2d)
        check_forwards(head.dropout, type(head.dropout))
        check_type(head.dropout, nn.Dropout2d, nn.Dropout, nn.Identity)
        check_type(head.conv_seg, nn.Conv2d)
        check_conv(head.conv_seg)
        fuse = fold_conv_bn(head.linear_fuse, depthwise=True)
        classifier = fold(head.conv_seg)
        packed = ops.pack_segmentation_head(
            # scale * (local * gate) + shift = (scale * local) * gate + shift
            fold_conv_bn(last.local_embedding).scaled(fuse.weight.flatten()).rounded(),
            fold_conv_bn(last.global_act).rounded(),
            fuse.bias.float(),
            classifier.rounded(),
        )
        return cls(packed, len(classifier.bias), gates)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return ops.segmentation_head(*self._last(features), self.packed, self.num_classes)

    def labels(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """The labels of `upsample_argmax(self(features), size)`, in one op."""
        return ops.segmentation_labels(*self._last(features), self.packed, self.num_classes, size)

    def _last(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The two maps of the last fusion."""
        x, *coarser, coarsest = features
        for gate, coarse in zip(fusions(self), coarser, strict=True):
            x = gate(x, coarse)
        return x, coarsest


def fusions(head: nn.Module) -> list[nn.Module]:
    """The fusions that a head, plain or fused, holds as modules; finest first."""
    count = sum(name.startswith("fuse") for name in head._modules)
    return [head.get_submodule(f"fuse{number}") for number in range(1, count + 1)]
