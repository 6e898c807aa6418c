"""Images with the boxes of the objects in them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seaformer_kernels.data.datasets import IMAGENET_MEAN, IMAGENET_STD, Color, object_colors
from seaformer_kernels.data.objects import Objects
from seaformer_kernels.data.reading import DataError, Sample, read_image


class DetectionData(torch.utils.data.Dataset):
    """Images with boxes, in the order of their names.

    `data[i]` is (image, objects): uint8 [3, H, W] RGB, and `Objects`. It raises `DataError` if the
    file cannot be read, or has another size than the annotations say.

    Args:
        classes: names, in the order of the labels.
        category_ids: of the classes, in the annotations.
        samples: the files.
        sizes: width and height of each image.
        objects: those of each image.
        dropped: how many boxes were left out, as they have no area in their image.

    Attributes:
        classes, category_ids, samples, sizes, objects, dropped: as given.
        colors: of the classes.
        mean, std: of R, G and B in the range 0..255.
    """

    task = "detection"
    mean = IMAGENET_MEAN
    std = IMAGENET_STD

    def __init__(
        self,
        classes: Sequence[str],
        category_ids: Sequence[int],
        samples: Sequence[Sample],
        sizes: Sequence[tuple[int, int]],
        objects: Sequence[Objects],
        dropped: int = 0,
    ):
        self.classes = tuple(classes)
        self.category_ids = tuple(category_ids)
        self.samples = list(samples)
        self.sizes = list(sizes)
        self.objects = list(objects)
        self.dropped = dropped

    @property
    def colors(self) -> tuple[Color, ...]:
        return object_colors(len(self.classes))

    @property
    def most_objects(self) -> int:
        """How many objects an image has at most."""
        return max((len(objects.boxes) for objects in self.objects), default=0)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Objects]:
        image = read_image(self.samples[index].image)
        height, width = image.shape[:2]
        if (width, height) != self.sizes[index]:
            expected = "{}x{}".format(*self.sizes[index])
            raise DataError(
                f"Expected an image of {expected}, as its annotations say, upright as EXIF says, "
                f"got {width}x{height} in {self.samples[index].image}."
            )
        return torch.from_numpy(image).permute(2, 0, 1), self.objects[index]
