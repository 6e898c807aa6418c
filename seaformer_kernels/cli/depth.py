"""8-bit RGB of images of any depth."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from seaformer_kernels.cli.errors import ImageError

# Such as 16-bit files of cameras with 10, 12 or 14 bits: shifted by eight they would be dark.
_LOW_RANGE = 1 << 14
# What reads the lower bytes of 16-bit colours, of which Pillow keeps the upper ones.
_LOWER = {
    f"{colors};16{order}": f"{colors};16{other}"
    for colors in ("RGB", "RGBA", "RGBX")
    for order, other in ("BL", "LB", "NB")  # native order is little-endian wherever this runs
}
_GREY_ALPHA = "LA;16B"
# Formats that say how many bits they use; Pillow scales those to 8 or 16.
_SCALED = {"PPM", "JPEG2000"}


class Photo(NamedTuple):
    """An image as it was read.

    Attributes:
        image: 8-bit RGB, upright.
        warning: what looks wrong about it, if anything.
    """

    image: Image.Image
    warning: str | None = None


def to_rgb(image: Image.Image, path: Path, bit_depth: int | None) -> Photo:
    """An image as 8-bit RGB, turned upright as its EXIF orientation says.

    Args:
        image: just opened.
        path: its file.
        bit_depth: how many bits the values of a 16-bit file use; all, if None.

    Raises:
        ImageError: its values have more than 16 bits, or more than `bit_depth`.
    """
    bits, raw_mode = _bits(image), _raw_mode(image)
    if image.mode == "F" or bits > 16:
        kind = "floating-point" if image.mode == "F" else "integer"
        raise ImageError(f"holds {bits}-bit {kind} pixels; integers of 8 and 16 bits are supported")
    if 8 < bits < 16:
        bit_depth = bits  # the file knows
    elif image.format in _SCALED:
        bit_depth = 16
    upright = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        values = np.asarray(upright)  # Pillow would clip what is above 255 instead of scaling it
    else:
        rgb = upright.convert("RGB")
        if raw_mode not in _LOWER and raw_mode != _GREY_ALPHA:
            return Photo(rgb)
        if bit_depth in (None, 16) and np.asarray(rgb).max() >= _LOW_RANGE >> 8:
            return Photo(rgb)
        values = _16_bit_colors(path, raw_mode)
    scaled, warning = _to_8_bits(values, bit_depth)
    return Photo(Image.fromarray(scaled).convert("RGB"), warning)


def _bits(image: Image.Image) -> int:
    """Bits of a value in the file, or 16 where there are fewer and Pillow does not tell."""
    if image.format == "TIFF":
        return max(image.tag_v2.get(258, (1,)))  # BitsPerSample
    wide = image.mode == "F" or (image.mode == "I" and image.format not in {"PNG", *_SCALED})
    return 32 if wide else 16


def _raw_mode(image: Image.Image) -> str:
    """How Pillow is about to unpack the file."""
    tiles = getattr(image, "tile", None)
    args = tiles[0][3] if tiles else ""
    return str(args[0] if isinstance(args, tuple) and args else args)


def _16_bit_colors(path: Path, raw_mode: str) -> np.ndarray:
    """The values, uint16 [H, W, 3] or [H, W], of a file of which Pillow keeps the upper bytes."""
    if raw_mode == _GREY_ALPHA:  # its four bytes lie as if they were four colours
        pixels = _unpacked(path, "RGBA").astype(np.uint16)
        return pixels[..., 0] << 8 | pixels[..., 1]
    upper, lower = (
        _unpacked(path, mode)[..., :3].astype(np.uint16) for mode in (raw_mode, _LOWER[raw_mode])
    )
    return upper << 8 | lower


def _unpacked(path: Path, raw_mode: str) -> np.ndarray:
    with Image.open(path) as image:
        image.tile = [
            (codec, extents, offset, (raw_mode, *args[1:]) if isinstance(args, tuple) else raw_mode)
            for codec, extents, offset, args in image.tile
        ]
        return np.asarray(ImageOps.exif_transpose(image))


def _to_8_bits(values: np.ndarray, bit_depth: int | None) -> tuple[np.ndarray, str | None]:
    """Values of that many bits as uint8, and a warning if none is given and 16 looks wrong."""
    least, most = int(values.min()), int(values.max())
    if least < 0:
        raise ImageError(f"holds negative values, down to {least}")
    warning = None
    if bit_depth is None:
        bit_depth = 16
        if 0 < most < _LOW_RANGE:
            guess = next(bits for bits in (8, 10, 12, 14) if most < 1 << bits)
            warning = (
                f"its values, of 16 bits, end at {most}, so that the network sees it dark; if they "
                f"use fewer bits, give --bit-depth, such as {guess}"
            )
    elif most >> bit_depth:
        raise ImageError(
            f"holds values up to {most}; --bit-depth {bit_depth} allows {(1 << bit_depth) - 1}"
        )
    return (values >> (bit_depth - 8)).astype(np.uint8), warning
