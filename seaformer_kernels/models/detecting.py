"""What a detector makes of images, whatever computes its maps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from seaformer_kernels.data import IMAGENET_MEAN
from seaformer_kernels.data.letterbox import Letterbox
from seaformer_kernels.models.backbone import MIN_SIZE, check_images
from seaformer_kernels.models.detections import Detections
from seaformer_kernels.models.evaluating import evaluating
from seaformer_kernels.ops.detections import Decoded

if TYPE_CHECKING:
    from seaformer_kernels.models.pretrained.facts import ModelFacts


class Detecting(nn.Module):
    """A module that finds objects.

    Attributes:
        normalizes: whether images are raw RGB values, float32 or uint8.
        facts: what users need beside the weights; None if nothing is known.
    """

    normalizes: bool
    facts: ModelFacts | None = None

    @abstractmethod
    def _objects(
        self, x: Tensor, size: tuple[int, int], thresholds: dict[str, float | int]
    ) -> Decoded:
        """What `ops.decode_detections` tells of images, within a size."""

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
        check_images(x, self.normalizes, least=MIN_SIZE if size is None else 1)
        image = tuple(x.shape[-2:])
        size = image if size is None else size
        box = (Letterbox.fit if keep_ratio else Letterbox.stretch)(image, size)
        placed = box.place(x, self._fill() if self.normalizes else 0)
        boxes, scores, classes, counts = self._objects(placed, box.scaled, thresholds)
        boxes = box.to_image(boxes)
        return [
            Detections(boxes[i, :count], scores[i, :count], classes[i, :count])
            for i, count in enumerate(counts.tolist())
        ]

    def _fill(self) -> list[int]:
        """The mean colour, which normalised is near 0, as raw values of any type."""
        return [round(value) for value in (self.facts.mean if self.facts else IMAGENET_MEAN)]
