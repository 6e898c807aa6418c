"""Matching against brute force, losses against their formulas."""

from __future__ import annotations

import math

import pytest
import torch

pytest.importorskip("yaml")
pytest.importorskip("lightning_fabric")

from seaformer_kernels.modules.anchors import anchor_boxes, encode_boxes
from seaformer_kernels.training.detection import (
    BACKGROUND,
    IGNORED,
    DetectionLoss,
    focal_loss,
    giou_loss,
    match_anchors,
    pairwise_iou,
)

STRIDES = (8, 16)


def iou_of(one, other):
    (a, b, c, d), (e, f, g, h) = one, other
    both = max(0, min(c, g) - max(a, e)) * max(0, min(d, h) - max(b, f))
    return both / ((c - a) * (d - b) + (g - e) * (h - f) - both)


def random_boxes(count, generator, side=64):
    corners = side * torch.rand(count, 2, 2, generator=generator).double()
    low, high = corners.amin(1), corners.amax(1) + 1
    return torch.cat([low, high], 1)


def brute_match(anchors, boxes):
    anchors, boxes = anchors.tolist(), boxes.tolist()
    table = [[iou_of(anchor, box) for box in boxes] for anchor in anchors]
    found = []
    for row in table:
        best = max(row, default=0)
        number = row.index(best) if boxes else BACKGROUND
        found.append(number if best >= 0.5 else IGNORED if best >= 0.4 else BACKGROUND)
    claims = {}
    for number in range(len(boxes)):
        column = [row[number] for row in table]
        best = max(column)
        anchor = column.index(best)
        if best > 0 and (anchor not in claims or best > claims[anchor][0]):
            claims[anchor] = (best, number)
    for anchor, (_, number) in claims.items():
        found[anchor] = number
    return found


@pytest.mark.parametrize("seed", range(12))
def test_matching_is_as_by_brute_force(seed):
    generator = torch.Generator().manual_seed(seed)
    boxes = random_boxes(seed, generator)
    if seed > 4:
        boxes[2] = boxes[1]  # two of one place
    if seed > 6:
        boxes[3] = torch.tensor([1e3, 1e3, 1e3 + 5, 1e3 + 5])  # far from all anchors
    anchors = torch.cat(anchor_boxes(STRIDES, [(8, 8), (4, 4)])).double()
    assert match_anchors(anchors, boxes).tolist() == brute_match(anchors, boxes)


def test_each_box_has_an_anchor():
    anchors = torch.cat(anchor_boxes(STRIDES, [(8, 8), (4, 4)]))
    tiny = torch.tensor([[30.0, 30, 33, 32], [10, 50, 12, 54]])
    match = match_anchors(anchors, tiny)
    assert sorted(match[match >= 0].tolist()) == [0, 1]


def test_iou_is_its_formula():
    generator = torch.Generator().manual_seed(0)
    one, other = random_boxes(5, generator), random_boxes(7, generator)
    expected = [[iou_of(a, b) for b in other.tolist()] for a in one.tolist()]
    torch.testing.assert_close(pairwise_iou(one, other), torch.tensor(expected).double())


def test_focal_loss_is_its_formula():
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(40, generator=generator).double()
    target = (torch.rand(40, generator=generator) < 0.3).double()
    expected = 0.0
    for logit, positive in zip(logits.tolist(), target.tolist(), strict=True):
        p = 1 / (1 + math.exp(-logit))
        likely, weight = (p, 0.25) if positive else (1 - p, 0.75)
        expected -= weight * (1 - likely) ** 2 * math.log(likely)
    assert focal_loss(logits, target).item() == pytest.approx(expected, rel=1e-9)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: focal_loss(x, target), logits)


def test_focal_loss_of_sure_logits_is_finite():
    logits = torch.tensor([-1e4, 1e4, -1e4, 1e4], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([0.0, 1.0, 1.0, 0.0]))
    loss.backward()
    assert loss.item() == pytest.approx(0.25 * 1e4 + 0.75 * 1e4)
    assert logits.grad.isfinite().all()


def test_giou_is_its_formula():
    generator = torch.Generator().manual_seed(1)
    boxes, target = random_boxes(30, generator), random_boxes(30, generator)
    expected = 0.0
    for one, other in zip(boxes.tolist(), target.tolist(), strict=True):
        hull = (max(one[2], other[2]) - min(one[0], other[0])) * (
            max(one[3], other[3]) - min(one[1], other[1])
        )
        areas = [(x[2] - x[0]) * (x[3] - x[1]) for x in (one, other)]
        overlap = iou_of(one, other)
        either = sum(areas) / (1 + overlap)
        expected += 1 - overlap + (hull - either) / hull
    assert giou_loss(boxes, target).item() == pytest.approx(expected, rel=1e-9)
    assert giou_loss(target, target).item() == pytest.approx(0, abs=1e-12)
    boxes.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: giou_loss(x, target), boxes)


def outputs(classes=2, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    sizes = ((8, 8), (4, 4))
    return tuple(
        [torch.randn(batch, 9 * depth, *size, generator=generator).double() for size in sizes]
        for depth in (classes, 4)
    )


TARGET = torch.tensor(
    [
        [[4.0, 6, 40, 44, 1], [30, 30, 62, 60, 0], [-1, -1, -1, -1, -1]],
        [[-1.0] * 5] * 3,
    ]
)


@pytest.mark.parametrize("box", ["smooth_l1", "giou"])
def test_the_loss_is_that_of_each_anchor(box):
    class_maps, box_maps = outputs()
    total, weight = DetectionLoss(STRIDES, box, box_weight=0.5)((class_maps, box_maps), TARGET)
    anchors = torch.cat(anchor_boxes(STRIDES, [(8, 8), (4, 4)]))
    expected, count = 0.0, 0
    for image, target in enumerate(TARGET):
        target = target[target[:, 4] >= 0]
        match, positive = match_anchors(anchors, target[:, :4]).tolist(), 0
        number = -1
        for level, (height, width) in enumerate(((8, 8), (4, 4))):
            for y in range(height):
                for x in range(width):
                    for a in range(9):
                        number += 1
                        if match[number] == IGNORED:
                            continue
                        logits = class_maps[level][image, 2 * a : 2 * a + 2, y, x]
                        wanted = torch.zeros(2).double()
                        if match[number] >= 0:
                            positive += 1
                            matched = target[match[number]]
                            wanted[int(matched[4])] = 1
                            deltas = box_maps[level][image, 4 * a : 4 * a + 4, y, x]
                            goal = encode_boxes(matched[:4], anchors[number]).double()
                            far = (deltas - goal).abs()
                            if box == "smooth_l1":
                                part = torch.where(far < 1 / 9, 4.5 * far**2, far - 1 / 18).sum()
                            else:
                                (ax, ay), (w, h) = (
                                    (anchors[number, :2] + anchors[number, 2:]) / 2,
                                    anchors[number, 2:] - anchors[number, :2],
                                )
                                dx, dy, dw, dh = deltas.tolist()
                                cx, cy = ax + dx * w, ay + dy * h
                                bw, bh = w * math.exp(dw), h * math.exp(dh)
                                found = torch.stack(
                                    [cx - bw / 2, cy - bh / 2, cx + bw / 2, cy + bh / 2]
                                )
                                part = giou_loss(found[None].double(), matched[None, :4].double())
                            expected += 0.5 * part.item()
                        expected += focal_loss(logits, wanted).item()
        count += max(1, positive)
    assert weight.item() == count
    assert total.item() == pytest.approx(expected, rel=1e-6)


def test_shares_of_a_batch_add_up():
    class_maps, box_maps = outputs()
    loss = DetectionLoss(STRIDES)
    whole = loss((class_maps, box_maps), TARGET)
    parts = [
        loss(
            ([m[i : i + 1] for m in class_maps], [m[i : i + 1] for m in box_maps]), TARGET[i][None]
        )
        for i in range(2)
    ]
    assert whole.weight == parts[0].weight + parts[1].weight
    torch.testing.assert_close(whole.total, parts[0].total + parts[1].total)


def test_the_loss_has_the_gradients_of_its_formula():
    class_maps, box_maps = outputs(batch=1)
    maps = [m[:, :, :2, :2].clone().requires_grad_() for m in (*class_maps[:1], *box_maps[:1])]
    # Far enough from the bend of smooth L1 and from overlaps that begin.
    for box in ("smooth_l1", "giou"):
        loss = DetectionLoss(STRIDES[:1], box)

        def of(logits, deltas, loss=loss):
            return loss(([logits], [deltas]), torch.tensor([[[0.0, 0, 20, 24, 1]]])).total

        assert torch.autograd.gradcheck(of, maps)
