"""What a detector is trained to say of each anchor, and how wrong it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seaformer_kernels.data.objects import pairwise_iou
from seaformer_kernels.modules.anchors import (
    ANCHORS_PER_CELL,
    anchor_boxes,
    decode_boxes,
    encode_boxes,
)
from seaformer_kernels.training.losses import LossSum, exact

BACKGROUND, IGNORED = -1, -2  # what anchors match that match no box
POSITIVE_IOU, NEGATIVE_IOU = 0.5, 0.4
SMOOTH_L1_BETA = 1 / 9

BoxLoss = Literal["smooth_l1", "giou"]


def match_anchors(anchors: Tensor, boxes: Tensor) -> Tensor:
    """Which box each anchor is trained to find.

    An anchor matches the box with which it has the greatest IoU, the first of equal ones, from 0.5
    up. Below 0.4 it is background; between, it does not count. Beside that each box has the anchor
    of the greatest IoU with it, the first of equal ones, unless that is so of another box with
    which the anchor's IoU is greater, or as great and which comes first.

    Args:
        anchors: [N, 4]: left, top, right, bottom.
        boxes: [M, 4], M from 0 up.

    Returns:
        int64 [N]: number of a box, -1 for background, or -2.
    """
    if not len(boxes):
        return torch.full((len(anchors),), BACKGROUND, device=anchors.device)
    iou = pairwise_iou(anchors, boxes)
    best, match = iou.max(1)
    match[best < POSITIVE_IOU] = IGNORED
    match[best < NEGATIVE_IOU] = BACKGROUND
    # Those of lower IoU first, so that greater ones are written over them.
    best, anchor = iou.max(0)
    for box in best.argsort(stable=True, descending=True).flip(0).tolist():
        if best[box] > 0:
            match[anchor[box]] = box
    return match


def focal_loss(logits: Tensor, target: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss of sigmoids (Lin et al., ICCV 2017), summed.

    Args:
        logits: of any shape.
        target: 1 or 0, of the same shape.
        alpha: weight of what is 1, and 1 - alpha of the rest.
        gamma: exponent by which what is likely right counts for less.

    Returns:
        A scalar.
    """
    likely = logits.sigmoid()
    wrong = likely + target - 2 * likely * target  # 1 - likely where the target is 1
    weight = (1 - alpha) + (2 * alpha - 1) * target
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (weight * wrong.pow(gamma) * losses).sum()


def giou_loss(boxes: Tensor, target: Tensor) -> Tensor:
    """1 - generalised IoU (Rezatofighi et al., CVPR 2019) of pairs of boxes, summed.

    Args:
        boxes, target: [N, 4]: left, top, right, bottom, of positive area.

    Returns:
        A scalar.
    """
    low, high = boxes[:, :2], boxes[:, 2:]
    target_low, target_high = target[:, :2], target[:, 2:]
    shared = torch.minimum(high, target_high) - torch.maximum(low, target_low)
    around = torch.maximum(high, target_high) - torch.minimum(low, target_low)
    both = shared.clamp(min=0).prod(1)
    either = (high - low).prod(1) + (target_high - target_low).prod(1) - both
    hull = around.prod(1)
    tiny = torch.finfo(boxes.dtype).eps
    giou = both / either.clamp(min=tiny) - (hull - either) / hull.clamp(min=tiny)
    return (1 - giou).sum()


class DetectionLoss(nn.Module):
    """Focal loss of the classes at all anchors that count, and a loss of the boxes at the matched.

    It is the mean over matched anchors, where an image without one counts as if it had one.

    Args:
        strides: pixels of the image a side of a cell, of each level.
        box: smooth L1 of the deltas with beta 1/9, or GIoU of the boxes.
        box_weight: what that counts beside the classes.
        alpha, gamma: of `focal_loss`.
    """

    def __init__(
        self,
        strides: Sequence[int],
        box: BoxLoss = "smooth_l1",
        box_weight: float = 1.0,
        alpha: float = 0.25,
        gamma: float = 2.0,
    ):
        super().__init__()
        self.strides = tuple(strides)
        self.box = box
        self.box_weight = box_weight
        self.alpha = alpha
        self.gamma = gamma

    def forward(
        self, outputs: tuple[Sequence[Tensor], Sequence[Tensor]], target: Tensor
    ) -> LossSum:
        """Of a detector's outputs and the objects of its images.

        Args:
            outputs: class logits [B, 9 * classes, H, W] and box deltas [B, 36, H, W] of each level.
            target: [B, M, 5], float32: left, top, right, bottom and class, -1 for no object.
        """
        class_maps, box_maps = outputs
        sizes = [(maps.shape[2], maps.shape[3]) for maps in class_maps]
        anchors = torch.cat(anchor_boxes(self.strides, sizes, target.device))
        logits, deltas = _by_anchor(class_maps), _by_anchor(box_maps)
        totals, weights = [], []
        for image_logits, image_deltas, objects in zip(logits, deltas, target, strict=True):
            objects = objects[objects[:, 4] >= 0]
            match = match_anchors(anchors, objects[:, :4])
            found, counted = match >= 0, match != IGNORED
            boxes, classes = objects[match[found], :4], objects[match[found], 4].long()
            likely = torch.zeros_like(image_logits)
            likely[found, classes] = 1
            classified = focal_loss(image_logits[counted], likely[counted], self.alpha, self.gamma)
            placed = self._box_loss(image_deltas[found], anchors[found], boxes)
            totals.append(classified + self.box_weight * placed)
            weights.append(found.sum().clamp(min=1))
        return LossSum(torch.stack(totals).sum(), torch.stack(weights).sum())

    def _box_loss(self, deltas: Tensor, anchors: Tensor, boxes: Tensor) -> Tensor:
        if self.box == "giou":
            return giou_loss(decode_boxes(deltas, anchors), boxes.to(deltas))
        target = encode_boxes(boxes, anchors).to(deltas)
        return F.smooth_l1_loss(deltas, target, reduction="sum", beta=SMOOTH_L1_BETA)


def _by_anchor(maps: Sequence[Tensor]) -> Tensor:
    """Maps [B, 9 * C, H, W] of levels as [B, anchors, C], in the order of `anchor_boxes`."""
    levels = []
    for level in maps:
        values = exact(level).permute(0, 2, 3, 1)
        levels.append(values.reshape(len(values), -1, values.shape[3] // ANCHORS_PER_CELL))
    return torch.cat(levels, 1)
