"""SeaFormer for semantic segmentation."""

import torch
from torch import Tensor

from seaformer_kernels.graph import chain
from seaformer_kernels.models.backbone import SeaFormerBackbone
from seaformer_kernels.models.config import SeaFormerConfig
from seaformer_kernels.models.evaluating import evaluating
from seaformer_kernels.models.sharing import Shareable
from seaformer_kernels.modules import SegmentationHead, UpsamplingHead
from seaformer_kernels.ops._element import ELEMENTS
from seaformer_kernels.ops.upsample_argmax import upsample_argmax


class SeaFormerSegmenter(Shareable):
    """The backbone and the light segmentation head.

    Args:
        config: which member of the family.
        num_classes: number of classes.
        dropout: probability of dropping a channel before the classifier, in training only.
        upsample: whether the head lifts its map to twice the size, as a student does that reads
            the image at half the resolution of its teacher (see docs/paper-and-code).

    Attributes:
        graph: the steps from images to logits.
        facts: what users need beside the weights; None if nothing is known.
    """

    upsample = False  # of those that were pickled before there were others

    def __init__(
        self,
        config: SeaFormerConfig,
        num_classes: int = 150,
        dropout: float = 0.1,
        upsample: bool = False,
    ):
        super().__init__()
        self.config = config
        self.num_classes = num_classes
        self.upsample = upsample
        self.backbone = SeaFormerBackbone(config)
        head = UpsamplingHead if upsample else SegmentationHead
        self.decode_head = head(
            config.feature_channels, config.fusion_channels, num_classes, dropout
        )
        self.graph = chain(["backbone", "decode_head"])

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, num_classes, ceil(H / 8), ceil(W / 8)] of images [B, 3, H, W].

        With `upsample` both sides are twice as long.
        Dtypes and errors as in `SeaFormerBackbone.features`.
        """
        (logits,) = self.graph.run(self, x)
        return logits

    @torch.no_grad()
    def predict(self, x: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """The label of every pixel: logits resized bilinearly, then argmax.

        Evaluates as in eval mode whatever the mode, and leaves the mode as it was. Of equal
        logits the lowest class wins.

        Args:
            x: normalised images [B, 3, H, W] of the parameters' dtype, H and W from 32 up; where
                `optimize` was given a mean and std, raw RGB values, float32 or uint8.
            size: height and width of the labels; those of the images if None.

        Returns:
            Labels `[B, *size]`, uint8 up to 256 classes, else int32.

        Raises:
            TypeError, ValueError: as `SeaFormerBackbone.features` and `upsample_argmax`.
        """
        with evaluating(self):
            features = self.backbone(x)
            size = tuple(x.shape[-2:]) if size is None else size
            if hasattr(self.decode_head, "labels"):  # a fused head goes there without logits
                return self.decode_head.labels(features, size)
            logits = self.decode_head(features)
        return upsample_argmax(logits if logits.dtype in ELEMENTS else logits.float(), size)
