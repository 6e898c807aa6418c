"""How the network looks at an image: its size, whole or by windows, flipped, at several scales."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from seaformer_kernels.evaluate.engines import Engine, Size
from seaformer_kernels.ops import upsample_argmax


@dataclass(frozen=True)
class InputSize:
    """The size of the network's input for an image of any size; that of the image by default.

    Attributes:
        exact: height and width, whatever the image's.
        short_side, long_side: the image keeps its ratio and becomes as large as these, one or both,
            allow; mmsegmentation's scale=(long_side, short_side).
        scale: factor of what comes of these, such as 0.5 for a network that upsamples.
        divisor: both sides are then rounded up to a multiple of it.

    Raises:
        ValueError: a value is not positive, or exact stands beside a side.
    """

    exact: Size | None = None
    short_side: int | None = None
    long_side: int | None = None
    scale: float = 1.0
    divisor: int = 1

    def __post_init__(self) -> None:
        sides = [side for side in (self.short_side, self.long_side) if side is not None]
        if self.exact is not None and sides:
            raise ValueError("Expected an exact size or sides that keep the ratio, got both.")
        if min([*(self.exact or ()), *sides, self.scale, self.divisor]) <= 0:
            raise ValueError(f"Expected positive values, got {self}.")

    def of(self, size: Size, scale: float = 1.0) -> Size:
        """Height and width of the input for an image of a size, scaled."""
        height, width = self.exact or size
        factors = [
            wanted / side
            for wanted, side in (
                (self.short_side, min(size)),
                (self.long_side, max(size)),
            )
            if wanted is not None
        ]
        factor = min(factors, default=1.0) * self.scale * scale
        return self._side(height * factor), self._side(width * factor)

    def _side(self, exact: float) -> int:
        side = max(1, int(exact + 0.5))
        return -(-side // self.divisor) * self.divisor


def usual_scale(model: object) -> float:
    """The scale of an `InputSize` for a model, or its config: half if it upsamples."""
    return 0.5 if getattr(model, "upsample", False) else 1.0


@dataclass(frozen=True)
class SlidingWindow:
    """Windows of one size over an image, as mmsegmentation lays them.

    They begin every `stride` pixels; the last of a row or column is moved back to end with the
    image. Where an image is smaller than `crop`, so is the window.

    Attributes:
        crop, stride: height and width.

    Raises:
        ValueError: one is not positive, or stride leaves pixels out.
    """

    crop: Size
    stride: Size

    def __post_init__(self) -> None:
        if min(*self.crop, *self.stride) < 1:
            raise ValueError(f"Expected positive crop and stride, got {self.crop}, {self.stride}.")
        if any(stride > crop for crop, stride in zip(self.crop, self.stride, strict=True)):
            raise ValueError(
                f"Expected a stride of at most the crop's {self.crop}, as pixels would be left "
                f"out, got {self.stride}."
            )

    def of(self, size: Size) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of each window over an image of a size."""
        rows, columns = (
            list(_ranges(*axis)) for axis in zip(size, self.crop, self.stride, strict=True)
        )
        return ((row, column) for row in rows for column in columns)


def _ranges(side: int, crop: int, stride: int) -> Iterator[slice]:
    steps = -(-max(side - crop, 0) // stride)
    for step in range(steps + 1):
        end = min(step * stride + crop, side)
        yield slice(max(end - crop, 0), end)


@dataclass(frozen=True)
class Views:
    """What is averaged to label an image.

    By default that is one look at the whole image: the labels are the engine's own, at the size of
    the image. Windows are averaged as logits, each resized to its window (bilinearly, corners not
    aligned, as everywhere here); flips and scales as softmax, resized to the image. That is how
    mmsegmentation does it; it keeps all classes of all pixels, 4 bytes each, two to three times.

    Attributes:
        input: the size of the input, at the scale 1.
        window: over the input at each scale; None for the whole.
        flip: whether each look is taken at the image's mirror image (left and right), too.
        scales: of the input.

    Raises:
        ValueError: there is no scale, or one is not positive.
    """

    input: InputSize = InputSize()
    window: SlidingWindow | None = None
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) <= 0:
            raise ValueError(f"Expected positive scales, got {self.scales}.")

    @property
    def whole(self) -> bool:
        """Whether one look at the whole image is all."""
        return self.window is None and not self.flip and len(self.scales) == 1

    @torch.inference_mode()
    def labels(self, engine: Engine, image: Tensor) -> Tensor:
        """Labels [H, W] of an image, uint8 [3, H, W], at its size.

        Raises:
            ValueError: the image, or a window, is too small for the network.
        """
        size = _size(image)
        if self.flip or len(self.scales) > 1:
            return self._likelihoods(engine, image).argmax(0)
        x = resized(image, self.input.of(size, *self.scales))
        if len(list(self._windows(x))) == 1:
            return engine.labels(x[None], size)[0]
        return upsample_argmax(self._logits(engine, x)[None], size)[0]

    def _likelihoods(self, engine: Engine, image: Tensor) -> Tensor:
        """The sum of softmax [C, H, W] over flips and scales."""
        size = _size(image)
        total: Tensor | None = None
        for scale in self.scales:
            x = resized(image, self.input.of(size, scale))
            for flipped in (False, True) if self.flip else (False,):
                logits = self._logits(engine, x.flip(-1) if flipped else x)
                logits = logits.flip(-1) if flipped else logits
                one = _bilinear(logits, size).softmax(0)
                total = one if total is None else total.add_(one)
        assert total is not None
        return total

    def _logits(self, engine: Engine, x: Tensor) -> Tensor:
        """Logits [C, h, w] of an input [3, H, W]: the network's own, or of windows at H, W."""
        windows = list(self._windows(x))
        if len(windows) == 1:
            return engine.logits(x[None])[0]
        total: Tensor | None = None
        count = torch.zeros(_size(x))
        for rows, columns in windows:
            view = x[:, rows, columns]
            logits = engine.logits(view[None])[0]
            if total is None:
                total = logits.new_zeros(len(logits), *_size(x))
            total[:, rows, columns] += _bilinear(logits, _size(view))
            count[rows, columns] += 1
        assert total is not None
        return total.div_(count.to(total.device))

    def _windows(self, x: Tensor) -> Iterator[tuple[slice, slice]]:
        if self.window is None:
            return iter([(slice(None), slice(None))])
        return self.window.of(_size(x))


def resized(image: Tensor, size: Size) -> Tensor:
    """An image, uint8 [3, H, W], at another size; bilinear, with antialiasing, as Pillow does."""
    if _size(image) == size:
        return image
    return F.interpolate(image[None], size, mode="bilinear", antialias=True)[0]


def _bilinear(maps: Tensor, size: Size) -> Tensor:
    if _size(maps) == size:
        return maps
    return F.interpolate(maps[None], size, mode="bilinear", align_corners=False)[0]


def _size(maps: Tensor) -> Size:
    height, width = maps.shape[-2:]
    return height, width
