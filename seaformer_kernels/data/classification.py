"""Images with their classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seaformer_kernels.data.datasets import IMAGENET_MEAN, IMAGENET_STD
from seaformer_kernels.data.reading import Sample, read_image


class ClassificationData(torch.utils.data.Dataset):
    """Images with labels.

    `data[i]` is (image, label): uint8 [3, H, W] RGB, and an integer of 0..classes-1. It raises
    `DataError` if the file cannot be read.

    Args:
        classes: names, in the order of the labels.
        samples: the files.

    Attributes:
        classes: as given.
        samples: as given, a list.
        mean, std: of R, G and B in the range 0..255.
    """

    task = "classification"
    mean = IMAGENET_MEAN
    std = IMAGENET_STD

    def __init__(self, classes: Sequence[str], samples: Sequence[Sample]):
        self.classes = tuple(classes)
        self.samples = list(samples)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        sample = self.samples[index]
        assert sample.label is not None
        return torch.from_numpy(read_image(sample.image)).permute(2, 0, 1), sample.label
