"""The tables that tell the members of the family apart."""

import math
from dataclasses import dataclass
from typing import NamedTuple


class BlockConfig(NamedTuple):
    """One inverted residual."""

    kernel_size: int
    expansion: int
    out_channels: int
    stride: int


class SeaStageConfig(NamedTuple):
    """The SEA layers after one convolutional stage."""

    after_stage: int  # counted from 1
    depth: int
    key_dim: int
    mlp_ratio: int


@dataclass(frozen=True)
class SeaFormerConfig:
    """What one member of the family is made of (SeaFormer, ICLR 2023, architecture table).

    Attributes:
        stem_channels: width of the dense 3x3 stride-2 convolution that opens stage 1.
        stages: the inverted residuals of the five convolutional stages.
        sea_stages: the SEA stages, in order.
        num_heads: attention heads of every SEA layer.
        fusion_channels: widths of the segmentation head's fusions, one per SEA stage.
    """

    stem_channels: int
    stages: tuple[tuple[BlockConfig, ...], ...]
    sea_stages: tuple[SeaStageConfig, ...]
    num_heads: int
    fusion_channels: tuple[int, ...]

    @property
    def feature_channels(self) -> tuple[int, ...]:
        """Widths of the backbone's feature maps: 1/8 scale, then after each SEA stage."""
        widths = [blocks[-1].out_channels for blocks in self.stages]
        return (widths[1], *(widths[sea.after_stage - 1] for sea in self.sea_stages))

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Widths of the maps after stage 2 and each later one."""
        return tuple(blocks[-1].out_channels for blocks in self.stages[1:])

    @property
    def stage_strides(self) -> tuple[int, ...]:
        """Pixels of the image a side of a cell of those maps: 8, 16, 32 and 64 in the family."""
        strides = [math.prod(block.stride for block in blocks) for blocks in self.stages]
        stem = 2
        return tuple(stem * math.prod(strides[:number]) for number in range(2, len(strides) + 1))


def _stages(*stages: tuple[tuple[int, int, int, int], ...]) -> tuple[tuple[BlockConfig, ...], ...]:
    return tuple(tuple(BlockConfig(*block) for block in blocks) for blocks in stages)


FAMILY = {
    "seaformer_tiny": SeaFormerConfig(
        stem_channels=16,
        stages=_stages(
            ((3, 1, 16, 1), (3, 4, 16, 2), (3, 3, 16, 1)),
            ((5, 3, 32, 2), (5, 3, 32, 1)),
            ((3, 3, 64, 2), (3, 3, 64, 1)),
            ((5, 3, 128, 2),),
            ((3, 6, 160, 2),),
        ),
        sea_stages=(SeaStageConfig(4, 2, 16, 2), SeaStageConfig(5, 2, 24, 4)),
        num_heads=4,
        fusion_channels=(64, 96),
    ),
    "seaformer_small": SeaFormerConfig(
        stem_channels=16,
        stages=_stages(
            ((3, 1, 16, 1), (3, 4, 24, 2), (3, 3, 24, 1)),
            ((5, 3, 48, 2), (5, 3, 48, 1)),
            ((3, 3, 96, 2), (3, 3, 96, 1)),
            ((5, 4, 160, 2),),
            ((3, 6, 192, 2),),
        ),
        sea_stages=(SeaStageConfig(4, 3, 16, 2), SeaStageConfig(5, 3, 24, 4)),
        num_heads=6,
        fusion_channels=(96, 128),
    ),
    "seaformer_base": SeaFormerConfig(
        stem_channels=16,
        stages=_stages(
            ((3, 1, 16, 1), (3, 4, 32, 2), (3, 3, 32, 1)),
            ((5, 3, 64, 2), (5, 3, 64, 1)),
            ((3, 3, 128, 2), (3, 3, 128, 1)),
            ((5, 4, 192, 2),),
            ((3, 6, 256, 2),),
        ),
        sea_stages=(SeaStageConfig(4, 4, 16, 2), SeaStageConfig(5, 4, 24, 4)),
        num_heads=8,
        fusion_channels=(128, 160),
    ),
    "seaformer_large": SeaFormerConfig(
        stem_channels=32,
        stages=_stages(
            ((3, 3, 32, 1), (3, 4, 64, 2), (3, 4, 64, 1)),
            ((5, 4, 128, 2), (5, 4, 128, 1)),
            ((3, 4, 192, 2), (3, 4, 192, 1)),
            ((5, 4, 256, 2),),
            ((3, 6, 320, 2),),
        ),
        sea_stages=(
            SeaStageConfig(3, 3, 16, 2),
            SeaStageConfig(4, 3, 20, 4),
            SeaStageConfig(5, 3, 24, 6),
        ),
        num_heads=8,
        fusion_channels=(128, 160, 192),
    ),
}
