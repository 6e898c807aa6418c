"""Distillation across resolutions: a student of half the image learns from a teacher of all of it.

Our own design after the outline of SeaFormer++ (IJCV 2025), not checked against the authors'.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seaformer_kernels.models.evaluating import evaluating
from seaformer_kernels.modules import SegmentationHead
from seaformer_kernels.training.losses import SegmentationLoss, exact, mean_of

CrossEntropy = Callable[[Tensor, Tensor], Tensor]
"""The loss of logits [B, classes, h, w], resized to a mask int64 [B, H, W], as one number."""


class DistillationLoss(nn.Module):
    """Four terms, each of which a weight of 0 turns off, so that it costs nothing.

    "student": cross-entropy of the student's logits. "lifted": cross-entropy of the student's
    features through the teacher's classifier. "features": 1 - cosine of the student's and the
    teacher's features, the mean over pixels. "kl": divergence of the student's distribution of
    classes from the teacher's, both softened by the temperature, times its square, the mean over
    pixels of the logits.

    Features are what a classifier reads, behind the ReLU and without dropout. Where the sizes of
    student and teacher differ (an upsampler makes them equal if the sides of the image are
    multiples of 16) the student's are resized bilinearly. Gradients reach the student alone: the
    teacher runs in eval mode, its classifier is constant, and no term changes either. "lifted" and
    "features" need features of one width, thus a teacher of the student's own size; "kl" takes any.

    Args:
        student, lifted, features, kl: weights of the terms, from 0 up.
        temperature: that softens both distributions of "kl".
        cross_entropy: by default the mean over labelled pixels.
        ignore_label: of pixels that the default one leaves out.

    Raises:
        ValueError: a weight is negative, all are 0, or the temperature is not positive.
    """

    def __init__(
        self,
        student: float = 1.0,
        lifted: float = 1.0,
        features: float = 1.0,
        kl: float = 1.0,
        *,
        temperature: float = 1.0,
        cross_entropy: CrossEntropy | None = None,
        ignore_label: int = 255,
    ):
        super().__init__()
        self.weights = {"student": student, "lifted": lifted, "features": features, "kl": kl}
        for name, weight in self.weights.items():
            if not (math.isfinite(weight) and weight >= 0):
                raise ValueError(f"Expected a weight of {name!r} from 0 up, got {weight}.")
        if not any(self.weights.values()):
            raise ValueError("Expected a term with a weight above 0, got none.")
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(f"Expected a positive temperature, got {temperature}.")
        self.temperature = temperature
        self.cross_entropy = cross_entropy or mean_of(SegmentationLoss(ignore_label=ignore_label))

    def forward(
        self,
        student: nn.Module,
        teacher: nn.Module,
        images: Tensor,
        half_images: Tensor,
        masks: Tensor,
    ) -> dict[str, Tensor]:
        """The terms that are on, times their weights; their sum is the loss.

        Args:
            student, teacher: of `create_model` for segmentation, of the same classes, perhaps
                wrapped. The student's mode is the caller's affair, the teacher's does not matter.
            images: normalised [B, 3, H, W], as the teacher reads them.
            half_images: the same at half the size (`halved`), as the student reads them.
            masks: labels int64 [B, H, W], ignored ones among them.

        Raises:
            TypeError: a model has no segmentation head.
            ValueError: the models do not fit each other.
        """
        of_student, of_teacher = _head(student, "student"), _head(teacher, "teacher")
        self._check(of_student, of_teacher)
        with _features(of_student) as found:
            logits = student(half_images)
        terms = {}
        if self.weights["student"]:
            terms["student"] = self.cross_entropy(logits, masks)
        if self.weights["lifted"]:
            lifted = _classified(found[0], of_teacher.conv_seg)
            terms["lifted"] = self.cross_entropy(lifted, masks)
        if self.weights["features"] or self.weights["kl"]:
            with torch.no_grad(), evaluating(teacher), _features(of_teacher) as wanted:
                targets = teacher(images)
            if self.weights["features"]:
                terms["features"] = _distance(found[0], wanted[0])
            if self.weights["kl"]:
                terms["kl"] = self._divergence(logits, targets)
        return {name: self.weights[name] * term for name, term in terms.items()}

    def _check(self, student: SegmentationHead, teacher: SegmentationHead) -> None:
        classes = student.conv_seg.out_channels, teacher.conv_seg.out_channels
        if classes[0] != classes[1]:
            raise ValueError(
                f"Expected a student and a teacher of the same classes, got {classes[0]} and "
                f"{classes[1]}."
            )
        widths = student.conv_seg.in_channels, teacher.conv_seg.in_channels
        on = [name for name in ("lifted", "features") if self.weights[name]]
        if widths[0] != widths[1] and on:
            raise ValueError(
                f"Expected features of one width for the terms {' and '.join(on)}, got {widths[0]} "
                f"of the student and {widths[1]} of the teacher: take a teacher of the student's "
                "size, or turn these terms off."
            )

    def _divergence(self, logits: Tensor, targets: Tensor) -> Tensor:
        logits = _resized(exact(logits), targets.shape[-2:])
        ours, theirs = (
            (exact(x) / self.temperature).log_softmax(1).movedim(1, -1).flatten(0, 2)
            for x in (logits, targets)
        )
        mean = F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
        return self.temperature**2 * mean


def halved(images: Tensor) -> Tensor:
    """Images [B, 3, H, W] at [B, 3, ceil(H / 2), ceil(W / 2)], smoothed before (antialias)."""
    height, width = images.shape[-2:]
    size = ((height + 1) // 2, (width + 1) // 2)
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True)


def _head(model: nn.Module, role: str) -> SegmentationHead:
    heads = [module for module in model.modules() if isinstance(module, SegmentationHead)]
    if len(heads) != 1:
        raise TypeError(
            f"Expected a plain segmentation model as {role}, got {type(model).__name__} with "
            f"{len(heads)} segmentation heads."
        )
    return heads[0]


@contextmanager
def _features(head: SegmentationHead) -> Iterator[list[Tensor]]:
    """A list that a call of the head's model, wrapped or not, puts the features into."""
    found: list[Tensor] = []
    handle = head.linear_fuse.register_forward_hook(lambda _, __, y: found.append(F.relu(y)))
    try:
        yield found
    finally:
        handle.remove()


def _classified(features: Tensor, classifier: nn.Conv2d) -> Tensor:
    bias = classifier.bias
    return F.conv2d(features, classifier.weight.detach(), None if bias is None else bias.detach())


def _distance(features: Tensor, wanted: Tensor) -> Tensor:
    features = _resized(exact(features), wanted.shape[-2:])
    return (1 - F.cosine_similarity(features, exact(wanted), dim=1)).mean()


def _resized(x: Tensor, size: torch.Size) -> Tensor:
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
