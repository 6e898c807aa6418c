"""SeaFormer for object detection."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seaformer_kernels.data import IMAGENET_MEAN
from seaformer_kernels.data.letterbox import Letterbox
from seaformer_kernels.graph import chain
from seaformer_kernels.models.backbone import MIN_SIZE, SeaFormerBackbone, check_images
from seaformer_kernels.models.config import SeaFormerConfig
from seaformer_kernels.models.detections import Detections
from seaformer_kernels.models.evaluating import evaluating
from seaformer_kernels.models.sharing import Shareable
from seaformer_kernels.modules import FeaturePyramid
from seaformer_kernels.modules.anchors import anchor_sizes
from seaformer_kernels.modules.retina_head import HEADS, Maps
from seaformer_kernels.reference.decode_detections import decode_detections


class SeaFormerDetector(Shareable):
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

    @torch.no_grad()
    def predict(
        self,
        images: Tensor | Sequence[Tensor],
        size: tuple[int, int] | None = None,
        *,
        keep_ratio: bool = True,
        score_threshold: float = 0.05,
        iou_threshold: float = 0.5,
        max_detections: int = 100,
        top_k: int = 1000,
    ) -> list[Detections]:
        """The objects in each image.

        Evaluates as in eval mode whatever the mode, and leaves the mode as it was.

        Args:
            images: normalised ones [B, 3, H, W], or one [3, H, W], of the parameters' dtype, H and
                W from 32 up; where `optimize` was given a mean and std, raw RGB values, float32 or
                uint8. A list or tuple of images [3, H, W] may have any sizes; they run in turn.
            size: height and width at which the network sees them, from 32 up; their own if None.
            keep_ratio: whether an image is scaled to fit into that size, at its top left corner,
                padded with the mean colour right or below; False stretches it.
            score_threshold: what a score must exceed.
            iou_threshold: of two boxes of a class that overlap by a greater intersection over
                union, the better one stays.
            max_detections: the most objects of an image.
            top_k: the most boxes of a level of which those are chosen.

        Returns:
            For each image its objects, boxes in its own pixels.

        Raises:
            TypeError, ValueError: as `SeaFormerBackbone.features` and `ops.decode_detections`, or
                size is not two integers from 32 up.
        """
        given = [images] if isinstance(images, Tensor) else images
        thresholds = {
            "score_threshold": score_threshold,
            "top_k": top_k,
            "iou_threshold": iou_threshold,
            "max_detections": max_detections,
        }
        found: list[Detections] = []
        with evaluating(self):
            for batch in given:
                one = isinstance(batch, Tensor) and batch.dim() == 3
                found += self._detect(batch[None] if one else batch, size, keep_ratio, thresholds)
        return found

    def _detect(
        self,
        x: Tensor,
        size: tuple[int, int] | None,
        keep_ratio: bool,
        thresholds: dict[str, float | int],
    ) -> list[Detections]:
        """The objects in each image of a batch."""
        raw = self.backbone.normalizes
        check_images(x, raw, least=MIN_SIZE if size is None else 1)
        image = tuple(x.shape[-2:])
        size = image if size is None else size
        box = (Letterbox.fit if keep_ratio else Letterbox.stretch)(image, size)
        class_maps, box_maps = self(box.place(x, self._fill() if raw else 0))
        boxes, scores, classes, counts = decode_detections(
            class_maps, box_maps, self.anchor_sizes(), self.strides, *box.scaled, **thresholds
        )
        boxes = box.to_image(boxes)
        return [
            Detections(boxes[i, :count], scores[i, :count], classes[i, :count])
            for i, count in enumerate(counts.tolist())
        ]

    def _fill(self) -> list[int]:
        """The mean colour, which normalised is near 0, as raw values of any type."""
        return [round(value) for value in (self.facts.mean if self.facts else IMAGENET_MEAN)]
