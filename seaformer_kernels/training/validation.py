"""How good a model is on the validation set, by all processes together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from seaformer_kernels.training.pictures import sheet

Sum = Callable[[Tensor], Tensor]  # over all processes


class SegmentationValidation:
    """mIoU and accuracies of a segmenter on whole images, one at a time.

    Args:
        data: a `SegmentationData`.
        resize: height and width into which an image is fitted for the network, its shape kept;
            labels keep the image's size. None for its own size.
        rank, world: number of this process, and how many share the work.
        shown: how many images `picture` shows.
    """

    metrics = ("miou", "pixel_accuracy", "mean_accuracy")

    def __init__(
        self,
        data: Any,
        resize: tuple[int, int] | None = None,
        rank: int = 0,
        world: int = 1,
        shown: int = 4,
    ):
        self.data = data
        self.resize = resize
        self.rank = rank
        self.world = world
        self.shown = shown
        self.picture: Image.Image | None = None

    @torch.no_grad()
    def __call__(self, model: nn.Module, device: torch.device, total: Sum) -> dict[str, float]:
        """The metrics of a model in eval mode; `total` sums over all processes."""
        facts = self.data.facts
        classes, dtype = len(facts.classes), next(model.parameters()).dtype
        confusion = torch.zeros(classes, classes, dtype=torch.int64)
        rows = []
        for index in range(self.rank, len(self.data), self.world):
            image, mask = self.data[index]
            x = normalised(image.to(device)[None], facts.mean, facts.std).to(dtype)
            labels = self._labels(model, x, tuple(mask.shape)).cpu()
            valid = mask < classes
            pairs = mask[valid].long() * classes + labels[valid]
            confusion += torch.bincount(pairs, minlength=classes**2).view(classes, classes)
            if len(rows) < self.shown:
                rows.append((image, mask, labels))
        self.picture = sheet(rows, facts) if rows else None
        return scores(total(confusion.to(device)).cpu())

    def _labels(self, model: nn.Module, x: Tensor, size: tuple[int, ...]) -> Tensor:
        if self.resize is not None:
            fitted = fit(x.shape[-2:], self.resize)
            x = F.interpolate(x, fitted, mode="bilinear", align_corners=False, antialias=True)
        x = x.contiguous(memory_format=torch.channels_last)
        logits = F.interpolate(model(x), size, mode="bilinear", align_corners=False)
        return logits.argmax(1)[0]


def fit(size: Sequence[int], into: Sequence[int]) -> tuple[int, int]:
    """Height and width of the largest image of this shape that fits, either way round."""
    factor = min(max(into) / max(size), min(into) / min(size))
    return max(32, round(size[0] * factor)), max(32, round(size[1] * factor))


def scores(confusion: Tensor) -> dict[str, float]:
    """The metrics of a confusion matrix [true, found]; classes that do not occur do not count."""
    counts = confusion.double()
    hits = counts.diagonal()
    true, found = counts.sum(1), counts.sum(0)
    occurs = true + found > 0
    union = (true + found - hits).clamp(min=1)
    return {
        "miou": (hits / union)[occurs].mean().item(),
        "pixel_accuracy": (hits.sum() / counts.sum().clamp(min=1)).item(),
        "mean_accuracy": (hits / true.clamp(min=1))[true > 0].mean().item(),
    }


def normalised(image: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Of images uint8 [B, 3, H, W], what the network reads."""
    m, s = (image.new_tensor(v, dtype=torch.float32).view(3, 1, 1) for v in (mean, std))
    return (image.float() - m) / s
