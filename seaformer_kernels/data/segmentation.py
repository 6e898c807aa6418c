"""Images with the labels of their pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from seaformer_kernels.data.datasets import Dataset
from seaformer_kernels.data.reading import DataError, Sample, read_image, read_mask


class SegmentationData(torch.utils.data.Dataset):
    """Images with masks, in the order of their names.

    `data[i]` is (image, mask): uint8 [3, H, W] RGB, and uint8 [H, W] of labels 0..classes-1, where
    `facts.ignore_label` stands for pixels that do not count. It raises `DataError` if a file is not
    as it should be.

    Args:
        facts: classes, colours, mean and std.
        samples: the files.
        labels: what the values of the mask files mean; each stands for itself and the ignored
            label for none if None.

    Attributes:
        facts: as given.
        samples: as given, a list.
        labels: as given, with the ignored label.
    """

    task = "segmentation"

    def __init__(
        self, facts: Dataset, samples: Sequence[Sample], labels: Mapping[int, int] | None = None
    ):
        self.facts = facts
        self.samples = list(samples)
        if labels is None:
            labels = {label: label for label in range(len(facts.classes))}
        self.labels = {facts.ignore_label: facts.ignore_label, **labels}
        self._table = np.full(256, facts.ignore_label, dtype=np.uint8)
        self._wrong = np.ones(256, dtype=bool)
        for value, label in self.labels.items():
            self._table[value] = label
            self._wrong[value] = False

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        sample = self.samples[index]
        image = read_image(sample.image)
        mask = self.mask(index)
        if mask.shape != image.shape[:2]:
            (height, width), (rows, columns) = image.shape[:2], mask.shape
            raise DataError(
                f"Expected a mask of the image's size {width}x{height}, got {columns}x{rows} in "
                f"{sample.mask}."
            )
        return torch.from_numpy(image).permute(2, 0, 1), mask

    def mask(self, index: int) -> Tensor:
        """The labels of a sample, uint8 [H, W], without reading its image.

        Raises:
            DataError: the file cannot be read as a mask, or has values that are not labels.
        """
        sample = self.samples[index]
        mask, wrong = self.read_labels(sample)
        if wrong:
            raise DataError(
                f"Expected labels among {self.values}, got {sorted(wrong)} in {sample.mask}."
            )
        return torch.from_numpy(mask)

    @property
    def values(self) -> str:
        """The values that mask files may have, such as "0..10, 255"."""
        runs: list[list[int]] = []
        for value in sorted(self.labels):
            if runs and value == runs[-1][1] + 1:
                runs[-1][1] = value
            else:
                runs.append([value, value])
        return ", ".join(f"{a}..{b}" if a < b else str(a) for a, b in runs)

    def read_labels(self, sample: Sample) -> tuple[np.ndarray, dict[int, int]]:
        """Reads a sample's mask.

        Returns:
            (uint8 [H, W] of labels, how many pixels have each value that is not a label).

        Raises:
            DataError: the file cannot be read as a mask.
        """
        assert sample.mask is not None
        values = read_mask(sample.mask)
        counts = np.bincount(values.ravel(), minlength=256)
        wrong = {
            int(value): int(counts[value]) for value in np.flatnonzero(self._wrong & (counts > 0))
        }
        return self._table[values], wrong
