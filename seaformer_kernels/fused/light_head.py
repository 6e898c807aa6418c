"""The light detection head with each layer of each level as one op."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seaformer_kernels.fused.batch_norm import scale_and_shift
from seaformer_kernels.fused.block import check_forward, check_forwards, check_type, layers
from seaformer_kernels.fused.folding import Folded, check_conv, fold
from seaformer_kernels.fused.inverted_residual import FoldedInvertedResidual, FusedInvertedResidual
from seaformer_kernels.fused.pointwise import FusedPointwise
from seaformer_kernels.modules.retina_head import LightHead, Maps, classes_and_boxes, shared_towers


@dataclass(frozen=True)
class FoldedLightHead:
    """The convolutions of a `LightHead`, batch norms folded in.

    Attributes:
        class_tower, box_tower: for each layer, the block of each level.
        class_out, box_out: the convolutions behind them.
    """

    class_tower: list[list[FoldedInvertedResidual]]
    box_tower: list[list[FoldedInvertedResidual]]
    class_out: Folded
    box_out: Folded

    @classmethod
    def of(cls, head: nn.Module) -> FoldedLightHead:
        """Raises Unservable unless there are kernels for the head."""
        check_forward(head, LightHead)
        for conv in head.class_out, head.box_out:
            _check_convolution(conv)
        return cls(
            [_levels(layer) for layer in head.class_tower],
            [_levels(layer) for layer in head.box_tower],
            fold(head.class_out),
            fold(head.box_out),
        )


class FusedLightHead(nn.Module):
    """A `LightHead` for inference; channels_last maps of the type of the weights out.

    The batch norms of each level are folded into weights of its own.

    Args:
        class_tower, box_tower: for each layer, the block of each level.
        class_out, box_out: the convolutions behind them.

    Attributes:
        graph: as of `LightHead`.
        dtype: of the maps it writes and reads.
    """

    def __init__(
        self,
        class_tower: Sequence[Sequence[nn.Module]],
        box_tower: Sequence[Sequence[nn.Module]],
        class_out: FusedPointwise,
        box_out: FusedPointwise,
    ):
        super().__init__()
        self.class_tower, self.box_tower = (
            nn.ModuleList(nn.ModuleList(layer) for layer in tower)
            for tower in (class_tower, box_tower)
        )
        self.class_out = class_out
        self.box_out = box_out
        self.dtype = class_out.dtype
        depth, levels = len(class_tower), len(class_tower[0])
        self.graph = shared_towers(
            [[(f"{layer}.{level}",) for layer in range(depth)] for level in range(levels)]
        )

    @classmethod
    def of(cls, head: LightHead, *, dtype: torch.dtype = torch.float32) -> FusedLightHead:
        """The fused form of a plain head, in this type."""
        folded = FoldedLightHead.of(head)
        towers = [
            [
                [FusedInvertedResidual.from_folded(block, dtype=dtype) for block in levels]
                for levels in tower
            ]
            for tower in (folded.class_tower, folded.box_tower)
        ]
        outputs = (folded.class_out, folded.box_out)
        return cls(*towers, *(FusedPointwise.from_folded(out, dtype=dtype) for out in outputs))

    def forward(self, levels: Sequence[Tensor]) -> Maps:
        return classes_and_boxes(self.graph.run(self, *levels))


def _levels(layer: nn.Module) -> list[FoldedInvertedResidual]:
    """The block of each level, of one layer."""
    _check_convolution(layer.depthwise, kernel_size=3, depthwise=True)
    _check_convolution(layer.pointwise)
    blocks = []
    for norms in zip(layer.depthwise_norm, layer.pointwise_norm, strict=True):
        depthwise, pointwise = map(_normed, (layer.depthwise, layer.pointwise), norms)
        blocks.append(
            FoldedInvertedResidual(None, depthwise, pointwise, 3, 1, project_activation="relu")
        )
    return blocks


def _check_convolution(conv: nn.Module, *, kernel_size: int = 1, depthwise: bool = False) -> None:
    check_forwards(conv, nn.Conv2d)
    check_type(conv, nn.Conv2d)
    check_conv(conv, kernel_size=kernel_size, depthwise=depthwise)


def _normed(conv: nn.Conv2d, norm_relu: nn.Module) -> Folded:
    """A convolution and the batch norm of a level."""
    check_forwards(norm_relu, nn.Sequential)
    norm, _ = layers(norm_relu, type(norm_relu[0]), nn.ReLU)
    return fold(conv).normed(*scale_and_shift(norm, conv.out_channels))
