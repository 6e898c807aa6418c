"""What training does to an image before the network sees it.

Everything random follows from a seed, so that what becomes of an image depends on nothing but the
run, the epoch and the image. Geometry is ours, as no library has the rule about classes; colours
are Kornia's: Albumentations is archived, its successor under the AGPL.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

try:
    from kornia import enhance
    from kornia.augmentation import RandomErasing
    from kornia.augmentation.auto import RandAugment
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"Transforms for training need {error.name}: pip install 'seaformer-kernels[train]'",
        name=error.name,
    ) from None

from seaformer_kernels.data.objects import Objects

_CROPS_TRIED = 10  # as everybody who uses the rule
_LEAST_LEFT = 0.25  # of a box, where the rest is outside
_THINNEST = 0.5  # pixels
_KORNIA = threading.Lock()


class _Draws:
    """Random numbers that follow from a seed, of any size: torch's take 32 bits of it."""

    def __init__(self, seed: int):
        self._generator = np.random.default_rng(seed)

    def uniform(self, low: float, high: float) -> float:
        return float(self._generator.uniform(low, high))

    def integer(self, high: int) -> int:
        """One of 0..high."""
        return int(self._generator.integers(high, endpoint=True))

    def happens(self, probability: float) -> bool:
        return self.uniform(0, 1) < probability


class SegmentationTransform:
    """Scales, crops, flips, changes colours, normalises and pads an image and its mask.

    The augmentation of SeaFormer's segmentation recipes (ICLR 2023, section 4.1).

    Args:
        crop: height and width of the result.
        scale: least and greatest factor, uniformly drawn, by which the image is scaled.
        resize: box of shorter and longer side, in any order, into which the image is fitted before
            it is scaled, keeping its aspect; None for its own size.
        max_share: of ten crops, the first is taken in which no class has this share of the pixels
            that count, else the last; 1 takes the first.
        flip: probability of a left-right flip.
        sizes: factors of the crop, of which each batch takes one, for networks that shall serve
            images of several sizes. Sides are then multiples of 16, from 32 up.
        distort: whether brightness, contrast, saturation and hue are changed, each half the time.
        mean, std: of R, G and B in the range 0..255.
        ignore_label: label of pixels that do not count, and of those outside of the image.

    Raises:
        ValueError: a size, range or probability makes no sense.
    """

    def __init__(
        self,
        crop: tuple[int, int],
        *,
        scale: tuple[float, float] = (0.5, 2.0),
        resize: tuple[int, int] | None = None,
        max_share: float = 0.75,
        flip: float = 0.5,
        sizes: Sequence[float] = (1.0,),
        distort: bool = True,
        mean: Sequence[float],
        std: Sequence[float],
        ignore_label: int = 255,
    ):
        _check_size("crop", crop)
        if resize is not None:
            _check_size("resize", resize)
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(f"Expected scale as two positive factors, least first, got {scale}.")
        _check_share("max_share", max_share)
        _check_share("flip", flip)
        if not sizes or min(sizes) <= 0:
            raise ValueError(f"Expected sizes as positive factors, got {list(sizes)}.")
        self.crop = crop
        self.sizes = tuple(sizes)
        self.scale = scale
        self.resize = resize
        self.max_share = max_share
        self.flip = flip
        self.distort = distort
        self.ignore_label = ignore_label
        self._normalize = _Normalize(mean, std)

    def __call__(
        self, image: Tensor, mask: Tensor, seed: int, of_batch: int = 0
    ) -> tuple[Tensor, Tensor]:
        """What the network sees.

        Args:
            image: uint8 [3, H, W], RGB.
            mask: uint8 [H, W], labels.
            seed: what everything random follows from, not negative.
            of_batch: what the size of the crop follows from, not negative.

        Returns:
            (float32 [3, h, w] normalised, int64 [h, w] labels) of the size of the crop.

        Raises:
            ValueError: image and mask do not fit each other.
        """
        _check_image(image)
        if mask.shape != image.shape[1:]:
            raise ValueError(
                f"Expected a mask of the image's {list(image.shape[1:])} pixels, got "
                f"{list(mask.shape)}."
            )
        draws, crop = _Draws(seed), self._crop_of(of_batch)
        rows, columns, size = self._shown(mask, crop, draws)
        # Only what the crop shows is scaled; image and mask by the same geometry.
        pixels = _scaled(image[:, rows, columns], size)
        labels = F.interpolate(mask[None, None, rows, columns], size, mode="nearest-exact")[0, 0]
        if draws.happens(self.flip):
            pixels, labels = pixels.flip(2), labels.flip(1)
        below, right = crop[0] - size[0], crop[1] - size[1]
        top, left = draws.integer(below), draws.integer(right)
        padding = (left, right - left, top, below - top)
        # Last, so that the geometry does not hang on it.
        if self.distort:
            pixels = _distorted(pixels, draws)
        # Zero is the mean once it is normalised.
        return (
            F.pad(self._normalize(pixels), padding),
            F.pad(labels, padding, value=self.ignore_label).long(),
        )

    def _crop_of(self, batch: int) -> tuple[int, int]:
        factor = self.sizes[_Draws(batch).integer(len(self.sizes) - 1)]
        if factor == 1:
            return self.crop
        height, width = (max(32, 16 * round(factor * side / 16)) for side in self.crop)
        return height, width

    def _shown(
        self, mask: Tensor, crop: tuple[int, int], draws: _Draws
    ) -> tuple[slice, slice, tuple[int, int]]:
        """Rows and columns that the crop shows, and the size that they get in it."""
        height, width = mask.shape
        factor = draws.uniform(*self.scale)
        if self.resize is not None:
            factor *= min(
                max(self.resize) / max(height, width), min(self.resize) / min(height, width)
            )
        shown = [
            min(length, math.ceil(wanted / factor))
            for length, wanted in zip((height, width), crop, strict=True)
        ]
        size = tuple(
            min(wanted, max(1, round(length * factor)))
            for length, wanted in zip(shown, crop, strict=True)
        )
        for _ in range(_CROPS_TRIED):
            top, left = draws.integer(height - shown[0]), draws.integer(width - shown[1])
            rows, columns = slice(top, top + shown[0]), slice(left, left + shown[1])
            if self.max_share == 1 or self._is_mixed(mask[rows, columns]):
                break
        return rows, columns, (size[0], size[1])

    def _is_mixed(self, mask: Tensor) -> bool:
        counts = torch.bincount(mask.flatten(), minlength=256)
        counts[self.ignore_label] = 0
        return bool(counts.max() < self.max_share * counts.sum())


class DetectionTransform:
    """Scales, crops, flips, changes colours, normalises and pads an image and its boxes.

    Boxes are cut at the edges of what is shown; those of which less than a quarter is left are not
    shown. Crowds are not, either, as nothing is trained on them.

    Args:
        size: height and width of the result.
        scale: least and greatest factor, uniformly drawn, by which the image that fits into the
            size is scaled; at 1 all of it is seen.
        keep_ratio: whether the image keeps its ratio; else it is stretched to the size.
        flip: probability of a left-right flip.
        distort: whether brightness, contrast, saturation and hue are changed, each half the time.
        mosaic: probability of four images in one, each in a quarter of the size (YOLOv4, 2020).
        data: of (image, objects) by index, which a mosaic takes its others of.
        most: how many objects an image has at most; a mosaic has up to four times as many.
        mean, std: of R, G and B in the range 0..255.

    Raises:
        ValueError: a size, range or probability makes no sense, or a mosaic has no data.
    """

    def __init__(
        self,
        size: tuple[int, int],
        *,
        scale: tuple[float, float] = (1.0, 1.0),
        keep_ratio: bool = True,
        flip: float = 0.5,
        distort: bool = True,
        mosaic: float = 0.0,
        data: Any = None,
        most: int,
        mean: Sequence[float],
        std: Sequence[float],
    ):
        _check_size("size", size)
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(f"Expected scale as two positive factors, least first, got {scale}.")
        _check_share("flip", flip)
        _check_share("mosaic", mosaic)
        if mosaic and (data is None or min(size) < 2):
            raise ValueError("Expected data for a mosaic, and a size of 2 a side, got less.")
        self.size = size
        self.scale = scale
        self.keep_ratio = keep_ratio
        self.flip = flip
        self.distort = distort
        self.mosaic = mosaic
        self.data = data
        self.most = max(1, 4 * most if mosaic else most)  # so that batches have no empty tensors
        self._normalize = _Normalize(mean, std)

    def __call__(
        self, image: Tensor, objects: Objects, seed: int, of_batch: int = 0
    ) -> tuple[Tensor, Tensor]:
        """What the network sees, and what it should find.

        Args:
            image: uint8 [3, H, W], RGB.
            objects: in it.
            seed: what everything random follows from, not negative.
            of_batch: is not used.

        Returns:
            (float32 `[3, *size]`, normalised, 0 outside of the image; float32 [most, 5] of left,
            top, right, bottom and class, in rows of -1 behind the last object).
        """
        draws = _Draws(seed)
        if self.mosaic and draws.happens(self.mosaic):
            x, found = self._of_four(image, objects, draws)
        else:
            x, found = self._of_one(image, objects, self.size, draws)
        target = torch.full((self.most, 5), -1.0)
        target[: len(found)] = found
        return x, target

    def _of_four(self, image: Tensor, objects: Objects, draws: _Draws) -> tuple[Tensor, Tensor]:
        height, width = self.size
        x, found = torch.zeros(3, height, width), []
        middle = height // 2, width // 2
        rows = (0, middle[0]), (middle[0], height)
        columns = (0, middle[1]), (middle[1], width)
        for top, bottom in rows:
            for left, right in columns:
                if top or left:  # the first quarter has the image itself
                    image, objects = self.data[draws.integer(len(self.data) - 1)]
                part, boxes = self._of_one(image, objects, (bottom - top, right - left), draws)
                x[:, top:bottom, left:right] = part
                found.append(boxes + torch.tensor([left, top, left, top, 0]))
        return x, torch.cat(found)

    def _of_one(
        self, image: Tensor, objects: Objects, size: tuple[int, int], draws: _Draws
    ) -> tuple[Tensor, Tensor]:
        """An image and its objects [N, 5] in a part of the input."""
        _check_image(image)
        factors = [wanted / length for wanted, length in zip(size, image.shape[1:], strict=True)]
        if self.keep_ratio:
            factors = 2 * [min(factors)]
        factor = draws.uniform(*self.scale)
        (rows, high), (columns, wide) = (
            _window(length, wanted, factor * fitted, draws)
            for length, wanted, fitted in zip(image.shape[1:], size, factors, strict=True)
        )
        pixels = _scaled(image[:, rows, columns], (high, wide))
        found = _shown_boxes(objects, rows, columns, (high, wide))
        if draws.happens(self.flip):
            pixels = pixels.flip(2)
            found[:, [0, 2]] = wide - found[:, [2, 0]]
        below, right = size[0] - high, size[1] - wide
        top, left = draws.integer(below), draws.integer(right)
        if self.distort:
            pixels = _distorted(pixels, draws)
        # Zero is the mean once it is normalised.
        padded = F.pad(self._normalize(pixels), (left, right - left, top, below - top))
        return padded, found + torch.tensor([left, top, left, top, 0])


class ClassificationTransform:
    """Crops, flips, changes, normalises and erases parts of an image.

    The augmentation of SeaFormer's classification recipe (ICLR 2023, section 4.2).

    Args:
        size: height and width of the result.
        randaugment: magnitude of RandAugment (CVPR 2020) with two changes, 0..30; 0 for none.
        erasing: probability of erasing a rectangle.
        flip: probability of a left-right flip.
        area: least and greatest share of the image's area that is cropped.
        mean, std: of R, G and B in the range 0..255.

    Raises:
        ValueError: a size, magnitude, range or probability makes no sense.
    """

    def __init__(
        self,
        size: int = 224,
        *,
        randaugment: int = 9,
        erasing: float = 0.2,
        flip: float = 0.5,
        area: tuple[float, float] = (0.08, 1.0),
        mean: Sequence[float],
        std: Sequence[float],
    ):
        _check_size("size", (size, size))
        if not 0 <= randaugment <= 30:
            raise ValueError(f"Expected a magnitude of RandAugment in 0..30, got {randaugment}.")
        if not 0 < area[0] <= area[1] <= 1:
            raise ValueError(f"Expected area as two shares in 0..1, least first, got {area}.")
        _check_share("erasing", erasing)
        _check_share("flip", flip)
        self.size = size
        self.flip = flip
        self.area = area
        self._augment = RandAugment(n=2, m=randaugment) if randaugment else None
        self._erase = RandomErasing(p=erasing) if erasing else None
        self._normalize = _Normalize(mean, std)

    def __call__(self, image: Tensor, seed: int) -> Tensor:
        """What the network sees.

        Args:
            image: uint8 [3, H, W], RGB.
            seed: what everything random follows from, not negative.

        Returns:
            float32 [3, size, size], normalised.
        """
        _check_image(image)
        draws = _Draws(seed)
        rows, columns = _resized_crop(image.shape[1], image.shape[2], self.area, draws)
        pixels = _scaled(image[:, rows, columns], (self.size, self.size))
        if draws.happens(self.flip):
            pixels = pixels.flip(2)
        # Kornia's modules draw from torch's generator, which others use, and keep what they drew.
        with _KORNIA, torch.random.fork_rng(devices=[]):
            torch.manual_seed(draws.integer(2**32 - 1))
            if self._augment:
                pixels = 255 * self._augment(pixels[None] / 255).clamp(0, 1)[0]
            pixels = self._normalize(pixels)
            return self._erase(pixels[None])[0] if self._erase else pixels


class _Normalize:
    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        self.mean, self.std = (
            torch.tensor(values, dtype=torch.float32).view(3, 1, 1) for values in (mean, std)
        )

    def __call__(self, pixels: Tensor) -> Tensor:
        return (pixels - self.mean) / self.std


def _scaled(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, float32; blurred before it gets smaller."""
    x = pixels[None].float()
    if x.shape[2:] == size:
        return x[0]
    # Rounding errors leave the range.
    return F.interpolate(x, size, mode="bilinear", antialias=True)[0].clamp_(0, 255)


def _window(length: int, wanted: int, factor: float, draws: _Draws) -> tuple[slice, int]:
    """What of an axis is shown, and the length that it gets, of at most `wanted`."""
    shown = min(length, math.ceil(wanted / factor))
    first = draws.integer(length - shown)
    return slice(first, first + shown), min(wanted, max(1, round(shown * factor)))


def _shown_boxes(objects: Objects, rows: slice, columns: slice, size: tuple[int, int]) -> Tensor:
    """Boxes and classes [N, 5] of the objects in a part of an image, scaled to a size."""
    boxes = objects.boxes[~objects.crowd]
    classes = objects.classes[~objects.crowd].float()
    first = torch.tensor([columns.start, rows.start], dtype=torch.float32)
    last = torch.tensor([columns.stop, rows.stop], dtype=torch.float32)
    cut = torch.cat([boxes[:, :2].clamp(first, last), boxes[:, 2:].clamp(first, last)], 1)
    areas, left = ((b[:, 2:] - b[:, :2]).prod(1) for b in (boxes, cut))
    factor = torch.tensor([size[1], size[0]]) / (last - first)
    scaled = torch.cat([(cut[:, :2] - first) * factor, (cut[:, 2:] - first) * factor], 1)
    # A box that is thinner than a part of a pixel has no shape to learn.
    kept = (left >= _LEAST_LEFT * areas) & ((scaled[:, 2:] - scaled[:, :2]).amin(1) >= _THINNEST)
    return torch.cat([scaled, classes[:, None]], 1)[kept]


def _distorted(pixels: Tensor, draws: _Draws) -> Tensor:
    """Photometric distortion of SSD (ECCV 2016): each change half the time."""
    x = pixels / 255
    if draws.happens(0.5):
        x = enhance.adjust_brightness(x, draws.uniform(-32, 32) / 255)
    contrast_first = draws.happens(0.5)
    contrast = draws.uniform(0.5, 1.5) if draws.happens(0.5) else None
    if contrast is not None and contrast_first:
        x = enhance.adjust_contrast(x, contrast)
    if draws.happens(0.5):
        x = enhance.adjust_saturation(x, draws.uniform(0.5, 1.5))
    if draws.happens(0.5):
        x = enhance.adjust_hue(x, math.radians(draws.uniform(-36, 36)))
    if contrast is not None and not contrast_first:
        x = enhance.adjust_contrast(x, contrast)
    return x * 255


def _resized_crop(
    height: int, width: int, area: tuple[float, float], draws: _Draws
) -> tuple[slice, slice]:
    """A random share of the area, of a random aspect in 3/4..4/3, as in Inception (CVPR 2015)."""
    for _ in range(_CROPS_TRIED):
        wanted = height * width * draws.uniform(*area)
        aspect = math.exp(draws.uniform(math.log(3 / 4), math.log(4 / 3)))
        rows, columns = round(math.sqrt(wanted / aspect)), round(math.sqrt(wanted * aspect))
        if 0 < rows <= height and 0 < columns <= width:
            top, left = draws.integer(height - rows), draws.integer(width - columns)
            return slice(top, top + rows), slice(left, left + columns)
    # The middle, as near to the image's own aspect as is allowed.
    rows = min(height, max(1, round(width * 4 / 3)))
    columns = min(width, max(1, round(height * 4 / 3)))
    top, left = (height - rows) // 2, (width - columns) // 2
    return slice(top, top + rows), slice(left, left + columns)


def _check_image(image: Tensor) -> None:
    if image.dtype != torch.uint8 or image.dim() != 3 or image.shape[0] != 3:
        raise ValueError(
            f"Expected an image as uint8 [3, H, W], got {image.dtype} {list(image.shape)}."
        )


def _check_size(name: str, size: tuple[int, int]) -> None:
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"Expected {name} as height and width of at least 1, got {size}.")


def _check_share(name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"Expected {name} in 0..1, got {share}.")
