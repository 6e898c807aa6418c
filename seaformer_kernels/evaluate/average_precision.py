"""Average precision of detections as COCO has it, by faster-coco-eval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seaformer_kernels.data.objects import Objects, pairwise_iou
from seaformer_kernels.evaluate import sharding
from seaformer_kernels.evaluate.row_list import RowList
from seaformer_kernels.models import Detections

NEEDS_COCO_EVAL = "Average precision needs faster-coco-eval: pip install 'seaformer-kernels[train]'"
_FOUND, _TRUE, _CROWD = 0.0, 1.0, 2.0  # what a row is of
_COLUMNS = 9  # image, what it is of, class, score, left, top, right, bottom, area
_IOU_50, _IOU_75 = 0, 5  # among the thresholds 0.5, 0.55, ... 0.95


@dataclass(frozen=True)
class DetectionResult:
    """What `DetectionMetrics` found, in the range 0..1; NaN where there is nothing to find.

    Attributes:
        ap: mean of the average precision at the IoUs 0.5, 0.55, ... 0.95, and over classes; of at
            most 100 objects an image, as all of these.
        ap50, ap75: at one IoU.
        ap_small, ap_medium, ap_large: of objects of less than 32 x 32 pixels, less than 96 x 96,
            and more.
        class_ap: `ap` of each class.
        names: of the classes, or None.
    """

    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    class_ap: tuple[float, ...]
    names: tuple[str, ...] | None = None

    def name(self, label: int) -> str:
        """The name of a class, or its label where there are no names."""
        return self.names[label] if self.names else str(label)


class DetectionMetrics:
    """Keeps what was found and what there is, and makes COCO's metrics of it.

    Args:
        num_classes: how many classes; labels are 0..num_classes - 1.
        names: of the classes.

    Raises:
        ValueError: num_classes is not positive, or names are not as many.
    """

    def __init__(self, num_classes: int, names: Sequence[str] | None = None):
        if num_classes < 1:
            raise ValueError(f"Expected num_classes as a positive integer, got {num_classes}.")
        if names is not None and len(names) != num_classes:
            raise ValueError(f"Expected {num_classes} names of classes, got {len(names)}.")
        self.num_classes = num_classes
        self.names = None if names is None else tuple(names)
        self.reset()

    @property
    def counts(self) -> Tensor:
        """float64 [N, 9] on the CPU: a row for each object that was found or is there."""
        return self._rows.joined()

    @counts.setter
    def counts(self, rows: Tensor) -> None:
        self._rows = RowList(rows)

    def update(self, found: Detections, truth: Objects) -> None:
        """Adds an image; `truth.image` tells it from others. Errors as of `count`."""
        self._rows.append(self.count(found, truth))

    def count(self, found: Detections, truth: Objects) -> Tensor:
        """The rows that an `update` adds.

        Raises:
            ValueError: a class is none of the classes, or a box or score is no finite number.
        """
        boxes, scores, classes = (t.cpu() for t in (found.boxes, found.scores, found.classes))
        for kind, labels in ("found classes", classes), ("classes that are there", truth.classes):
            wrong = labels[(labels < 0) | (labels >= self.num_classes)]
            if len(wrong):
                raise ValueError(
                    f"Expected {kind} from 0 to {self.num_classes - 1}, got {wrong[0].item()}."
                )
        if not (boxes.isfinite().all() and scores.isfinite().all()):
            raise ValueError("Expected boxes and scores that are finite numbers, got others.")
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        what = torch.where(truth.crowd, _CROWD, _TRUE)
        certain = torch.ones_like(truth.areas)
        return torch.cat(
            [
                _rows(truth.image, torch.full_like(scores, _FOUND), classes, scores, boxes, areas),
                _rows(truth.image, what, truth.classes, certain, truth.boxes, truth.areas),
            ]
        )

    def all_reduce(self) -> None:
        """Adds the images of the other processes of the default group, if any; call it once."""
        self.counts = torch.cat(sharding.gather(self.counts))

    def reset(self) -> None:
        """Forgets all images."""
        self.counts = torch.zeros(0, _COLUMNS, dtype=torch.float64)

    def compute(self) -> DetectionResult:
        """The metrics of all images so far.

        Raises:
            ImportError: faster-coco-eval is not installed.
        """
        precision = _precision(
            self.counts, self.num_classes
        )  # [IoUs, recalls, classes, areas: all, small, medium, large]
        return DetectionResult(
            ap=_mean(precision[..., 0]),
            ap50=_mean(precision[_IOU_50, ..., 0]),
            ap75=_mean(precision[_IOU_75, ..., 0]),
            ap_small=_mean(precision[..., 1]),
            ap_medium=_mean(precision[..., 2]),
            ap_large=_mean(precision[..., 3]),
            class_ap=tuple(_mean(precision[:, :, c, 0]) for c in range(self.num_classes)),
            names=self.names,
        )


def hits(counts: Tensor, least_score: float = 0.3, least_iou: float = 0.5) -> float:
    """F1 of the surer objects of one image's rows, NaN where none is there and none was found.

    An object is a hit if one of its class that is there, and no surer one hit, has that IoU.
    """
    true = counts[counts[:, 1] == _TRUE]
    found = counts[(counts[:, 1] == _FOUND) & (counts[:, 3] >= least_score)]
    if not len(true) + len(found):
        return math.nan
    right = matched(found, true, least_iou)
    return 2 * right / (len(true) + len(found))


def matched(found: Tensor, others: Tensor, least_iou: float) -> int:
    """How many rows, the surest first, have one of their class and that IoU for themselves."""
    if not len(found) or not len(others):
        return 0
    iou = pairwise_iou(found[:, 4:8], others[:, 4:8]).where(found[:, 2:3] == others[:, 2], -1)
    right = 0
    for row in found[:, 3].argsort(descending=True, stable=True).tolist():
        best, other = iou[row].max(0)
        if best >= least_iou:
            iou[:, other] = -1
            right += 1
    return right


def _rows(
    image: int, what: Tensor, classes: Tensor, scores: Tensor, boxes: Tensor, areas: Tensor
) -> Tensor:
    columns = [torch.full_like(scores, 0), what, classes, scores, *boxes.unbind(1), areas]
    rows = torch.stack([column.double() for column in columns], 1)
    rows[:, 0] = image
    return rows


def _mean(precision: Tensor) -> float:
    return precision[precision > -1].mean().item()  # NaN where there is nothing


def _precision(counts: Tensor, classes: int) -> Tensor:
    """Precision [IoUs, recalls, classes, areas], -1 where there is nothing to find."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError:
        raise ImportError(NEEDS_COCO_EVAL) from None
    rows = counts.tolist()
    images = sorted({int(row[0]) for row in rows})
    truth = COCO(print_function=_quiet)
    truth.dataset = {
        "images": [{"id": image} for image in images],
        "categories": [{"id": label, "name": str(label)} for label in range(classes)],
        "annotations": [
            {**_entry(row), "id": number, "area": row[8], "iscrowd": int(row[1] == _CROWD)}
            for number, row in enumerate((row for row in rows if row[1] != _FOUND), 1)
        ],
    }
    truth.createIndex()
    found = truth.loadRes([{**_entry(row), "score": row[3]} for row in rows if row[1] == _FOUND])
    evaluation = COCOeval_faster(truth, found, "bbox", print_function=_quiet)
    evaluation.print_function = _quiet  # it forgets the argument
    evaluation.params.imgIds = images
    if not images:
        return torch.full((10, 101, classes, 4), -1.0)
    evaluation.evaluate()
    evaluation.accumulate()
    return torch.from_numpy(evaluation.eval["precision"][..., -1])


def _entry(row: list[float]) -> dict[str, Any]:
    left, top, right, bottom = row[4:8]
    return {
        "image_id": int(row[0]),
        "category_id": int(row[2]),
        "bbox": [left, top, right - left, bottom - top],
    }


def _quiet(*_: object) -> None:
    """Says nothing."""
