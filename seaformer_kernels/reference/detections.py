"""Detections of the maps of a detector with anchors, in plain PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

MAX_LOG_SCALE = math.log(1000 / 16)
"""The most that a delta of width or height counts for: exp of it is 62.5."""


def batched_nms(
    boxes: Tensor,
    scores: Tensor,
    classes: Tensor,
    iou_threshold: float,
    most: int | None = None,
) -> Tensor:
    """Indices of the boxes [N, 4] that no better one of their class overlaps by more.

    With ``most``, so many at the most.
    """
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    suppressed = torch.zeros_like(classes, dtype=torch.bool)
    kept: list[int] = []
    for i in scores.argsort(descending=True, stable=True).tolist():
        if len(kept) == most:
            break
        if suppressed[i]:
            continue
        kept.append(i)
        sides = torch.minimum(boxes[:, 2:], boxes[i, 2:]) - torch.maximum(
            boxes[:, :2], boxes[i, :2]
        )
        shared = sides.clamp(min=0).prod(1)
        overlap = shared / ((area + area[i]) - shared)
        suppressed |= (overlap.double() > iou_threshold) & (classes == classes[i])
    return torch.tensor(kept, dtype=torch.int64, device=boxes.device)


def decode_detections(
    class_maps: Sequence[Tensor],
    box_maps: Sequence[Tensor],
    anchors: Tensor,
    strides: Sequence[int],
    height: int,
    width: int,
    score_threshold: float = 0.05,
    top_k: int = 1000,
    iou_threshold: float = 0.5,
    max_detections: int = 100,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Boxes [B, max_detections, 4], scores and classes [B, max_detections], and counts [B]."""
    batch = class_maps[0].shape[0]
    boxes = anchors.new_zeros((batch, max_detections, 4))
    scores = anchors.new_zeros((batch, max_detections))
    classes = scores.to(torch.int64)
    counts = classes.new_zeros(batch)
    sides = anchors.new_tensor([width, height, width, height])
    levels = list(zip(class_maps, box_maps, anchors, strides, strict=True))
    for image in range(batch):
        found = [
            _best(logits[image], deltas[image], sizes, stride, score_threshold, top_k)
            for logits, deltas, sizes, stride in levels
        ]
        its_boxes, its_scores, its_classes = map(torch.cat, zip(*found, strict=True))
        its_boxes = its_boxes.clamp(min=0).minimum(sides)
        kept = batched_nms(its_boxes, its_scores, its_classes, iou_threshold, max_detections)
        counts[image] = count = len(kept)
        boxes[image, :count] = its_boxes[kept]
        scores[image, :count] = its_scores[kept]
        classes[image, :count] = its_classes[kept]
    return boxes, scores, classes, counts


def _best(
    logits: Tensor, deltas: Tensor, sizes: Tensor, stride: int, threshold: float, top_k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, scores and classes of the best logits of one level of one image."""
    per_cell, width = len(sizes), logits.shape[2]
    num_classes = logits.shape[0] // per_cell
    scores = _pixels(logits).double().sigmoid().float()
    passing = (scores.double() > threshold).nonzero()[:, 0]
    best = passing[scores[passing].argsort(descending=True, stable=True)[:top_k]]
    anchor = best // num_classes
    cell, a = anchor // per_cell, anchor % per_cell
    delta = _pixels(deltas).float().view(-1, 4)[anchor]
    centre = delta[:, :2] * sizes[a] + stride * torch.stack((cell % width, cell // width), 1)
    scale = delta[:, 2:].clamp(max=MAX_LOG_SCALE).double().exp().float()
    half = 0.5 * (sizes[a] * scale)
    return torch.cat((centre - half, centre + half), 1), scores[best], best % num_classes


def _pixels(x: Tensor) -> Tensor:
    """The numbers of a map [C, H, W], those of a pixel side by side."""
    return x.permute(1, 2, 0).flatten()
