"""The SeaFormer backbone: five convolutional stages, SEA layers after the last ones."""

import dataclasses
from collections import OrderedDict

import torch
from torch import Tensor, nn

from seaformer_kernels.graph import Graph, chain
from seaformer_kernels.models.config import BlockConfig, SeaFormerConfig
from seaformer_kernels.modules import InvertedResidual, SeaStage, Stem

MIN_SIZE = 32


class SeaFormerBackbone(nn.Module):
    """Feature maps of an image (SeaFormer, ICLR 2023).

    Works for any H and W from 32 up, any batch, dtype and memory format. `torch.export` with
    dynamic sizes needs H and W from 65 up, where no map is a single pixel wide.

    Args:
        config: which member of the family.
        every_stage: whether the maps are those after stage 2 and each later one, as detectors
            want them, whether SEA layers follow the stage or not.

    Attributes:
        stages: the steps from images to features.
        graph: the steps of `forward`, here the same.
    """

    def __init__(self, config: SeaFormerConfig, every_stage: bool = False):
        super().__init__()
        self.config = config
        stem = Stem(config.stem_channels)
        channels = config.stem_channels
        for number, blocks in enumerate(config.stages, 1):
            layers = OrderedDict(stem_block=stem) if number == 1 else OrderedDict()
            layers |= _inverted_residuals(channels, blocks)
            self.add_module(f"smb{number}", nn.Sequential(layers))
            channels = blocks[-1].out_channels
        widths = config.feature_channels[1:]
        for number, (sea, width) in enumerate(zip(config.sea_stages, widths, strict=True), 1):
            stage = SeaStage(width, sea.depth, sea.key_dim, config.num_heads, sea.mlp_ratio)
            self.add_module(f"trans{number}", stage)
        self.stages = self.graph = _stages(config, every_stage)

    @property
    def normalizes(self) -> bool:
        """Whether the stem takes raw RGB values, as a fused one can."""
        return getattr(self.smb1.stem_block, "normalizes", False)

    def features(self, x: Tensor) -> list[Tensor]:
        """The map at 1/8 of the image's size, then the map after each SEA stage or `every_stage`.

        Args:
            x: normalised images [B, 3, H, W] of the parameters' dtype, H and W from 32 up; where
                `optimize` was given a mean and std, raw RGB values, float32 or uint8.

        Returns:
            Tiny, Small, Base: maps at 1/8, 1/32 and 1/64; Large, and with `every_stage` all: at
            1/8, 1/16, 1/32 and 1/64. Sizes are rounded up; widths are `config.feature_channels`,
            or `config.stage_channels`.

        Raises:
            TypeError: x is not a floating-point tensor.
            ValueError: x has another shape.
        """
        check_images(x, raw=self.normalizes)
        return self.stages.run(self, x)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The same as `features`."""
        return self.features(x)


def check_images(x: Tensor, raw: bool = False, least: int = MIN_SIZE) -> None:
    """Raises TypeError or ValueError unless x is a batch of images the backbone can read.

    `raw` says that the stem normalises, and so reads uint8 too; `least` is the shortest side.
    """
    expected = f"Expected images as a floating-point{' or uint8' if raw else ''} tensor"
    if not isinstance(x, Tensor):
        raise TypeError(f"{expected} [B, 3, H, W], got {type(x).__name__}.")
    if not (x.is_floating_point() or (raw and x.dtype == torch.uint8)):
        raise TypeError(f"{expected} [B, 3, H, W], got dtype {x.dtype}.")
    if x.dim() != 4 or x.shape[1] != 3:
        raise ValueError(f"Expected images of shape [B, 3, H, W], got {list(x.shape)}.")
    if x.shape[2] < least or x.shape[3] < least:
        raise ValueError(
            f"Expected images of at least {least}x{least} pixels, "
            f"got {x.shape[2]}x{x.shape[3]} (shape {list(x.shape)})."
        )


def _stages(config: SeaFormerConfig, every_stage: bool) -> Graph:
    """The convolutional stages in turn, each with the SEA stage behind it, if there is one."""
    sea_stage_after = {sea.after_stage: i for i, sea in enumerate(config.sea_stages, 1)}
    paths, features, ends = [], [], []
    for number in range(1, len(config.stages) + 1):
        paths.append(f"smb{number}")
        if number == 2:
            features.append(len(paths))
        if number in sea_stage_after:
            paths.append(f"trans{sea_stage_after[number]}")
            features.append(len(paths))
        ends.append(len(paths))
    outputs = ends[1:] if every_stage else features
    return dataclasses.replace(chain(paths), outputs=tuple(outputs))


def _inverted_residuals(
    channels: int, blocks: tuple[BlockConfig, ...]
) -> OrderedDict[str, nn.Module]:
    layers = OrderedDict()
    for number, block in enumerate(blocks, 1):
        layers[f"layer{number}"] = InvertedResidual(
            channels,
            block.out_channels,
            kernel_size=block.kernel_size,
            expansion=block.expansion,
            stride=block.stride,
        )
        channels = block.out_channels
    return layers
