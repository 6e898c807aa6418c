"""Metrics of segmentation and classification, of counts that add up over images and processes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seaformer_kernels.evaluate import sharding

_TOP = 5


@dataclass(frozen=True)
class SegmentationResult:
    """What `SegmentationMetrics` found; all but `confusion` is in the range 0..1, NaN for 0/0.

    As mmsegmentation has it, a class that is neither in the labels nor in the predictions has the
    IoU NaN, one that is not in the labels has the accuracy NaN, and the means leave NaN out.

    Attributes:
        miou: mean of `class_iou`.
        class_iou: of each class, the pixels that are of it in labels and predictions by those that
            are of it in either.
        pixel_accuracy: share of the pixels whose prediction is their label.
        mean_accuracy: mean of `class_accuracy`.
        class_accuracy: of each class, the share of its pixels that are predicted as it.
        confusion: int64 [classes, classes], pixels by label (row) and prediction (column).
        names: of the classes, or None.
    """

    miou: float
    class_iou: tuple[float, ...]
    pixel_accuracy: float
    mean_accuracy: float
    class_accuracy: tuple[float, ...]
    confusion: Tensor
    names: tuple[str, ...] | None = None

    def name(self, label: int) -> str:
        """The name of a class, or its label where there are no names."""
        return self.names[label] if self.names else str(label)


@dataclass(frozen=True)
class ClassificationResult:
    """What `ClassificationMetrics` found.

    Attributes:
        top1, top5: share of the images whose class is the likeliest, among the five likeliest;
            NaN without images.
        count: how many images.
    """

    top1: float
    top5: float
    count: int


class SegmentationMetrics:
    """Counts pixels by label and prediction, and makes metrics of the counts.

    Args:
        num_classes: how many classes; labels are 0..num_classes - 1.
        ignore_label: label of pixels that count for nothing; None if there is none.
        names: of the classes.

    Attributes:
        counts: int64 [num_classes, num_classes] on the CPU, pixels by label and prediction.

    Raises:
        ValueError: num_classes is not positive, or names are not as many.
    """

    def __init__(
        self, num_classes: int, ignore_label: int | None = 255, names: Sequence[str] | None = None
    ):
        if num_classes < 1:
            raise ValueError(f"Expected num_classes as a positive integer, got {num_classes}.")
        if names is not None and len(names) != num_classes:
            raise ValueError(f"Expected {num_classes} names of classes, got {len(names)}.")
        self.num_classes = num_classes
        self.ignore_label = ignore_label
        self.names = None if names is None else tuple(names)
        self.counts = torch.zeros(num_classes, num_classes, dtype=torch.int64)

    def update(self, labels: Tensor, mask: Tensor) -> None:
        """Counts the pixels of one image or a batch; arguments and errors as of `count`."""
        self.counts += self.count(labels, mask)

    def count(self, labels: Tensor, mask: Tensor) -> Tensor:
        """What an `update` adds to `counts`.

        Args:
            labels: predictions, of any shape and integer dtype.
            mask: the truth, of the same shape and any integer dtype.

        Raises:
            TypeError: one of them does not hold integers.
            ValueError: the shapes differ, or a value is neither a class nor, in the mask, ignored.
        """
        for kind, tensor in ("labels", labels), ("a mask", mask):
            if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
                raise TypeError(f"Expected {kind} of integers, got {tensor.dtype}.")
        if labels.shape != mask.shape:
            raise ValueError(
                f"Expected labels and mask of one shape, got {list(labels.shape)} and "
                f"{list(mask.shape)}."
            )
        labels, mask = labels.reshape(-1).long(), mask.reshape(-1).to(labels.device).long()
        if self.ignore_label is not None:
            counted = mask != self.ignore_label
            labels, mask = labels[counted], mask[counted]
        for kind, values in ("predicted labels", labels), ("labels in the mask", mask):
            self._check(kind, values)
        cells = mask * self.num_classes + labels
        counts = torch.bincount(cells, minlength=self.num_classes**2)
        return counts.reshape(self.num_classes, self.num_classes).cpu()

    def _check(self, kind: str, values: Tensor) -> None:
        wrong = values[(values < 0) | (values >= self.num_classes)]
        if len(wrong):
            seen = wrong.unique().tolist()
            listed = ", ".join(map(str, seen[:5])) + (", ..." if len(seen) > 5 else "")
            ignored = "" if self.ignore_label is None else f", or {self.ignore_label} (ignored)"
            raise ValueError(
                f"Expected {kind} from 0 to {self.num_classes - 1}{ignored}, got {listed} "
                f"({len(wrong)} of the pixels)."
            )

    def all_reduce(self) -> None:
        """Adds the counts of the other processes of the default group, if any; call it once."""
        sharding.all_reduce(self.counts)

    def reset(self) -> None:
        """Forgets all counts."""
        self.counts.zero_()

    def compute(self) -> SegmentationResult:
        """The metrics of all pixels counted so far."""
        counts = self.counts.clone()
        iou, accuracy = class_iou(counts), counts.diagonal().double() / counts.sum(1)
        return SegmentationResult(
            miou=iou.nanmean().item(),
            class_iou=tuple(iou.tolist()),
            pixel_accuracy=(counts.trace().double() / counts.sum()).item(),
            mean_accuracy=accuracy.nanmean().item(),
            class_accuracy=tuple(accuracy.tolist()),
            confusion=counts,
            names=self.names,
        )


def class_iou(confusion: Tensor) -> Tensor:
    """IoU of each class, float64 [C] with NaN for 0/0, of a confusion matrix [C, C]."""
    both = confusion.diagonal()
    return both.double() / (confusion.sum(0) + confusion.sum(1) - both)


class ClassificationMetrics:
    """Counts images whose class is the likeliest, or among the five likeliest.

    Of equal scores the lowest class comes first.

    Args:
        num_classes: how many classes.

    Attributes:
        counts: int64 [3] on the CPU: images, those right at once, those right among five.

    Raises:
        ValueError: num_classes is not positive.
    """

    def __init__(self, num_classes: int):
        if num_classes < 1:
            raise ValueError(f"Expected num_classes as a positive integer, got {num_classes}.")
        self.num_classes = num_classes
        self.counts = torch.zeros(3, dtype=torch.int64)

    def update(self, scores: Tensor, target: Tensor) -> None:
        """Counts a batch; arguments and errors as of `count`."""
        self.counts += self.count(scores, target)

    def count(self, scores: Tensor, target: Tensor) -> Tensor:
        """What an `update` adds to `counts`.

        Args:
            scores: floating-point [B, num_classes], logits or anything that grows with them.
            target: classes, integers [B].

        Raises:
            ValueError: shapes are others, a target is no class, or a score is NaN.
        """
        target = target.to(scores.device).long()
        if scores.ndim != 2 or scores.shape[1] != self.num_classes:
            raise ValueError(f"Expected scores [B, {self.num_classes}], got {list(scores.shape)}.")
        if target.shape != scores.shape[:1]:
            raise ValueError(
                f"Expected a class for each of {len(scores)} images, got {list(target.shape)}."
            )
        wrong = target[(target < 0) | (target >= self.num_classes)]
        if len(wrong):
            raise ValueError(
                f"Expected classes from 0 to {self.num_classes - 1}, got {wrong[0].item()}."
            )
        if scores.isnan().any():
            raise ValueError("Expected scores that are numbers, got NaN.")
        own = scores.gather(1, target[:, None])
        before = torch.arange(self.num_classes, device=scores.device) < target[:, None]
        rank = ((scores > own) | ((scores == own) & before)).sum(1)
        hits = [(rank < top).sum().item() for top in (1, _TOP)]
        return torch.tensor([len(target), *hits])

    def all_reduce(self) -> None:
        """Adds the counts of the other processes of the default group, if any; call it once."""
        sharding.all_reduce(self.counts)

    def reset(self) -> None:
        """Forgets all counts."""
        self.counts.zero_()

    def compute(self) -> ClassificationResult:
        """The metrics of all images counted so far."""
        count, top1, top5 = self.counts.tolist()
        return ClassificationResult(
            top1=top1 / count if count else math.nan,
            top5=top5 / count if count else math.nan,
            count=count,
        )
