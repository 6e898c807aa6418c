"""SeaFormer for object detection."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from seaformer_kernels.graph import chain
from seaformer_kernels.models.backbone import SeaFormerBackbone
from seaformer_kernels.models.config import SeaFormerConfig
from seaformer_kernels.models.detecting import Detecting
from seaformer_kernels.models.sharing import Shareable
from seaformer_kernels.modules import FeaturePyramid
from seaformer_kernels.modules.anchors import anchor_sizes
from seaformer_kernels.modules.retina_head import HEADS, Maps
from seaformer_kernels.ops.detections import Decoded, decode_detections


class SeaFormerDetector(Detecting, Shareable):
    """The backbone, a feature pyramid and RetinaNet's head or a light one.

    The paper's setting is RetinaNet (Lin et al., ICCV 2017) with a feature pyramid (Lin et al.,
    CVPR 2017); its authors published no code of it, so names and details are ours.

    Args:
        config: which member of the family.
        num_classes: number of classes.
        head: "retina", or "light" for small processors.

    Attributes:
        strides: pixels of the image a side of a cell of each level: 8, 16, 32, 64 and 128.
        graph: the steps from images to what `forward` returns.
        facts: what users need beside the weights; None if nothing is known.

    Raises:
        ValueError: there is no such head.
    """

    def __init__(self, config: SeaFormerConfig, num_classes: int = 80, head: str = "retina"):
        super().__init__()
        if head not in HEADS:
            raise ValueError(f"Expected a head among {', '.join(HEADS)}, got {head!r}.")
        kind, channels = HEADS[head]
        self.config = config
        self.num_classes = num_classes
        self.head_name = head
        self.strides = (*config.stage_strides, 2 * config.stage_strides[-1])
        self.backbone = SeaFormerBackbone(config, every_stage=True)
        self.neck = FeaturePyramid(config.stage_channels, channels)
        self.head = kind(channels, num_classes, len(self.strides))
        self.graph = chain(["backbone", "neck", "head"])

    def forward(self, x: Tensor) -> Maps:
        """Class logits and box deltas of each level, finest first.

        Of images [B, 3, H, W] a level of stride s has logits [B, 9 * num_classes, h, w] and deltas
        [B, 36, h, w] with h = ceil(H / s) and w likewise; channels as `modules.RetinaHead` has
        them. Dtypes and errors as in `SeaFormerBackbone.features`.
        """
        (maps,) = self.graph.run(self, x)
        return maps

    def anchor_sizes(self) -> Tensor:
        """Widths and heights of the anchors [levels, 9, 2], as `modules.anchors` has them."""
        return anchor_sizes(self.strides)

    @property
    def normalizes(self) -> bool:
        """Whether images are raw RGB values, float32 or uint8."""
        return self.backbone.normalizes

    def _objects(self, x: Tensor, size: tuple[int, int], thresholds: dict[str, Any]) -> Decoded:
        class_maps, box_maps = self(x)
        levels = class_maps, box_maps, self.anchor_sizes(), self.strides
        return decode_detections(*levels, *size, **thresholds)
