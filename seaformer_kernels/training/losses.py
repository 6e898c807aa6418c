"""Losses as a sum and its weight, so that processes can divide by the weight of all of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LossSum(NamedTuple):
    """A loss is `total / weight`: that of several batches is the sum of both, divided."""

    total: Tensor
    weight: Tensor


class SegmentationLoss(nn.Module):
    """Cross-entropy over the pixels of a mask, of logits resized to it bilinearly.

    A pixel weighs as much as its class, 1 without class weights; ignored ones weigh nothing.

    Args:
        class_weights: float32 [classes].
        threshold: likelihood of the true class from which a pixel is easy and does not count;
            None counts all (online hard example mining otherwise).
        min_share: share of an image's pixels, the hardest, that count though they are easy.
        ignore_label: label of pixels that do not count.
    """

    def __init__(
        self,
        class_weights: Tensor | None = None,
        threshold: float | None = None,
        min_share: float = 0.0625,
        ignore_label: int = 255,
    ):
        super().__init__()
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.class_weights: Tensor | None
        self.threshold = threshold
        self.min_share = min_share
        self.ignore_label = ignore_label

    def forward(self, logits: Tensor, mask: Tensor) -> LossSum:
        """Of logits [B, classes, h, w] and labels int64 [B, H, W]."""
        resized = F.interpolate(
            exact(logits), size=mask.shape[-2:], mode="bilinear", align_corners=False
        )
        weights = None if self.class_weights is None else self.class_weights.to(resized.dtype)
        if self.threshold is None:
            total = F.cross_entropy(
                resized,
                mask,
                weights,
                ignore_index=self.ignore_label,
                reduction="sum",
            )
            return LossSum(total, self.weight_of(mask))
        losses = F.cross_entropy(
            resized, mask, ignore_index=self.ignore_label, reduction="none"
        ).flatten(1)
        counted = self._weights(mask).flatten(1) * self._hard(losses.detach(), mask)
        return LossSum((losses * counted).sum(), counted.sum())

    def weight_of(self, mask: Tensor) -> Tensor:
        """What the labelled pixels of masks [B, H, W] weigh together."""
        return self._weights(mask).sum()

    def _weights(self, mask: Tensor) -> Tensor:
        counts = mask != self.ignore_label
        if self.class_weights is None:
            return counts.float()
        return self.class_weights[mask.where(counts, 0)] * counts

    def _hard(self, losses: Tensor, mask: Tensor) -> Tensor:
        """Which pixels of each image [B, H * W] count."""
        valid = (mask != self.ignore_label).flatten(1)
        easy_from = torch.full_like(losses[:, :1], -math.log(self.threshold or 1))
        # The image's own threshold is lower if too few pixels are above the common one.
        ordered = losses.masked_fill(~valid, -1).sort(1, descending=True).values
        kept = (valid.sum(1, keepdim=True) * self.min_share).ceil().long().clamp(min=1)
        return valid & (losses >= torch.minimum(easy_from, ordered.gather(1, kept - 1)))


def mean_of(loss: SegmentationLoss) -> Callable[[Tensor, Tensor], Tensor]:
    """A loss as a mean, 0 where no pixel is labelled."""

    def mean(logits: Tensor, masks: Tensor) -> Tensor:
        total, weight = loss(logits, masks)
        return total / weight.clamp(min=1e-12)

    return mean


class ClassificationLoss(nn.Module):
    """Cross-entropy over images.

    Args:
        label_smoothing: share of a target that all classes have in equal parts.
    """

    def __init__(self, label_smoothing: float = 0.0):
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> LossSum:
        """Of logits [B, classes] and labels int64 [B]."""
        total = F.cross_entropy(
            exact(logits), labels, reduction="sum", label_smoothing=self.label_smoothing
        )
        return LossSum(total, total.new_tensor(len(labels)))


def exact(x: Tensor) -> Tensor:
    """In 32 bits if it has fewer."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
