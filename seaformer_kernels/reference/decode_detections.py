"""Detections of a head's maps in plain PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_MAX_LOG_SCALE = math.log(1000 / 16)


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
    """Boxes [B, D, 4], scores and classes [B, D] and counts [B] of class logits and box deltas."""
    batch = class_maps[0].shape[0]
    boxes = torch.zeros(batch, max_detections, 4)
    scores = torch.zeros(batch, max_detections)
    classes = torch.zeros(batch, max_detections, dtype=torch.int64)
    counts = torch.zeros(batch, dtype=torch.int64)
    for image in range(batch):
        found: list[tuple[Tensor, Tensor, Tensor]] = [
            _of_level(logits[image], deltas[image], sizes, stride, score_threshold, top_k)
            for logits, deltas, sizes, stride in zip(
                class_maps, box_maps, anchors, strides, strict=True
            )
        ]
        its_boxes, its_scores, its_classes = map(torch.cat, zip(*found, strict=True))
        its_boxes = its_boxes.clamp(min=0).minimum(its_boxes.new_tensor([width, height] * 2))
        kept = _nms(its_boxes, its_scores, its_classes, iou_threshold)[:max_detections]
        counts[image] = n = len(kept)
        boxes[image, :n], scores[image, :n] = its_boxes[kept], its_scores[kept]
        classes[image, :n] = its_classes[kept]
    return boxes, scores, classes, counts


def _of_level(
    logits: Tensor, deltas: Tensor, sizes: Tensor, stride: int, threshold: float, top_k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The best boxes of one level of one image, scores and classes."""
    width = logits.shape[2]
    per_cell = len(sizes)
    scores = logits.float().permute(1, 2, 0).sigmoid().flatten()
    num_classes = logits.shape[0] // per_cell
    order = scores.argsort(descending=True, stable=True)
    order = order[scores[order] > threshold][:top_k]
    anchor = order // num_classes
    cell, a = anchor // per_cell, anchor % per_cell
    delta = deltas.float().permute(1, 2, 0).reshape(-1, 4)[anchor]
    centre = stride * torch.stack((cell % width, cell // width), 1) + delta[:, :2] * sizes[a]
    half = 0.5 * sizes[a] * delta[:, 2:].clamp(max=_MAX_LOG_SCALE).exp()
    return torch.cat((centre - half, centre + half), 1), scores[order], order % num_classes


def _nms(boxes: Tensor, scores: Tensor, classes: Tensor, threshold: float) -> Tensor:
    order = scores.argsort(descending=True, stable=True).tolist()
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    kept: list[int] = []
    for i in order:
        others = [j for j in kept if classes[j] == classes[i]]
        low = torch.maximum(boxes[others, :2], boxes[i, :2])
        high = torch.minimum(boxes[others, 2:], boxes[i, 2:])
        shared = (high - low).clamp(min=0).prod(1)
        if not (shared / (area[others] + area[i] - shared) > threshold).any():
            kept.append(i)
    return torch.tensor(kept, dtype=torch.int64)
