"""How an image lies in a network's input, and boxes of the one in pixels of the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

Size = tuple[int, int]


@dataclass(frozen=True)
class Letterbox:
    """An image that is scaled into the top left corner of a network's input.

    Right of it and below there is padding, if anything. All sizes are (height, width). Coordinates
    are those of edges: 0 is the left edge of the first pixel, the width the right one of the last,
    so that a scale is just the quotient of two sizes.

    Attributes:
        image: size of the image.
        scaled: size that it is scaled to.
        input: size of the network's input, at least as large.

    Raises:
        ValueError: a size is not two positive integers, or scaled is larger than input.
    """

    image: Size
    scaled: Size
    input: Size

    def __post_init__(self) -> None:
        for name in "image", "scaled", "input":
            object.__setattr__(self, name, _size(name, getattr(self, name)))
        if self.scaled[0] > self.input[0] or self.scaled[1] > self.input[1]:
            raise ValueError(
                f"Expected a scaled image that fits into {list(self.input)}, got one of "
                f"{list(self.scaled)}."
            )

    @classmethod
    def fit(cls, image: Size, size: Size) -> Letterbox:
        """The image as large as it fits into a size, its ratio kept but for rounding."""
        (height, width), (most_high, most_wide) = _size("image", image), _size("size", size)
        if height * most_wide >= width * most_high:  # the height decides
            scaled = most_high, _rounded(width * most_high, height)
        else:
            scaled = _rounded(height * most_wide, width), most_wide
        return cls(image, scaled, size)

    @classmethod
    def stretch(cls, image: Size, size: Size) -> Letterbox:
        """The image resized to a size, whatever its ratio: there is no padding."""
        return cls(image, size, size)

    def place(self, image: Tensor, fill: float | Sequence[float] = 0) -> Tensor:
        """The network's input: the image resized bilinearly, with antialiasing, and padded.

        Args:
            image: [..., C, H, W] of the size `image`, floating-point or uint8.
            fill: of the padding, one number or one of each channel.

        Returns:
            `[..., C, *input]` of the type of image.

        Raises:
            ValueError: the image is of another size.
        """
        if image.dim() < 3 or tuple(image.shape[-2:]) != self.image:
            raise ValueError(
                f"Expected an image [..., C, {self.image[0]}, {self.image[1]}], got "
                f"{list(image.shape)}."
            )
        if self.scaled == self.input == self.image:
            return image
        batch = image.reshape(-1, *image.shape[-3:])
        if self.scaled != self.image:
            batch = F.interpolate(
                batch, size=self.scaled, mode="bilinear", align_corners=False, antialias=True
            )
        if self.scaled != self.input:
            values = torch.as_tensor(fill, dtype=batch.dtype, device=batch.device)
            padded = values.reshape(-1, 1, 1).expand(*batch.shape[:2], *self.input).clone()
            padded[..., : self.scaled[0], : self.scaled[1]] = batch
            batch = padded
        return batch.reshape(*image.shape[:-2], *self.input)

    def to_input(self, boxes: Tensor) -> Tensor:
        """Boxes [..., 4] of the image, x1, y1, x2, y2, in pixels of the network's input."""
        return self._scaled(boxes, self.scaled, self.image)

    def to_image(self, boxes: Tensor) -> Tensor:
        """Boxes [..., 4] of the network's input in pixels of the image, cut at its edges."""
        height, width = self.image
        most = boxes.new_tensor([width, height, width, height])
        return self._scaled(boxes, self.image, self.scaled).clamp(min=0).minimum(most)

    @staticmethod
    def _scaled(boxes: Tensor, to: Size, of: Size) -> Tensor:
        (height, width), (old_height, old_width) = to, of
        old = boxes.new_tensor([old_width, old_height, old_width, old_height])
        # The product first, so that edges fall on edges.
        return boxes * boxes.new_tensor([width, height, width, height]) / old


def _rounded(product: int, divisor: int) -> int:
    """The nearest whole number to a quotient, at least 1."""
    return max((2 * product + divisor) // (2 * divisor), 1)


def _size(name: str, value: object) -> Size:
    if (
        not isinstance(value, tuple | list | torch.Size)
        or len(value) != 2
        or not all(isinstance(side, int) and side > 0 for side in value)
    ):
        raise ValueError(f"Expected {name} as two positive integers, got {value!r:.80}.")
    return int(value[0]), int(value[1])
