"""Images and masks from files.

Both are turned upright as their own EXIF orientation says, so that a mask which was painted over
the picture as viewers show it fits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

try:
    import numpy as np
    from PIL import Image, ImageOps
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"Reading data sets needs {error.name}: pip install 'seaformer-kernels[train]'",
        name=error.name,
    ) from None

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})

_MASK_MODES = ("1", "L", "P")
# Pillow would clip their values to 0..255.
_DEEP_MODES = ("F", "I")
_ORIENTATION = 0x0112
# Orientations that exchange width and height.
_SIDEWAYS = (5, 6, 7, 8)
# What a whole file ends with.
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}


class DataError(ValueError):
    """A data set that is not as expected; the message says what came, and in which files."""


@dataclass(frozen=True)
class Sample:
    """An image, and where what is known of it stands.

    Attributes:
        image: file of the image.
        mask: file of the labels of its pixels, for segmentation.
        label: its class, for classification.
        name: its path without suffix, below the folder of its split; no two have the same.
    """

    image: Path
    mask: Path | None = None
    label: int | None = None
    name: str = ""


def read_image(path: Path) -> np.ndarray:
    """The pixels of an image, RGB.

    Returns:
        uint8 [H, W, 3], upright.

    Raises:
        DataError: the file cannot be read, or has more than 8 bits a channel.
    """
    with _opened(path) as image:
        _check_depth(image, path)
        return np.array(_upright(image).convert("RGB"))


def read_mask(path: Path) -> np.ndarray:
    """The values of a mask, as they stand in its file.

    Returns:
        uint8 [H, W], upright.

    Raises:
        DataError: the file cannot be read, or is not one channel of at most 8 bits.
    """
    if path.suffix == ".mat":
        return _read_matlab(path)
    with _opened(path) as image:
        if image.mode not in _MASK_MODES:
            raise DataError(
                "Expected a mask of one channel of 8 bits that holds labels (mode L or P), got "
                f"mode {image.mode} in {path}."
            )
        # Pillow spreads grey values of 2 and 4 bits, which are labels here, over 0..255.
        spread = {"L;2": 85, "L;4": 17}.get(_raw_mode(image), 1)
        return np.array(_upright(image), dtype=np.uint8) // spread


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an upright image, by its header; files that are cut off are found.

    Raises:
        DataError: the file cannot be read, or has more than 8 bits a channel.
    """
    with _opened(path) as image:
        _check_depth(image, path)
        size = image.size
        # Pillow would decode a PNG to look for EXIF behind the pixels.
        known = image.format != "PNG" or "exif" in image.info
        if known and image.getexif().get(_ORIENTATION) in _SIDEWAYS:
            size = size[::-1]
        if not _is_whole(path, image.format):
            image.load()
        return size


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image file; what fails in it becomes a DataError."""
    try:
        # Pillow's warnings are let through: to catch them is not safe in threads.
        with Image.open(path) as image:
            yield image
    except (DataError, MemoryError):
        raise
    except FileNotFoundError:
        raise DataError(f"Expected an image file, got none at {path}.") from None
    except Image.UnidentifiedImageError:
        raise DataError(f"Expected an image, got a file of another kind: {path}.") from None
    except Exception as error:  # decoders raise nearly anything on damaged files
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"Expected a whole image, got one that fails ({why}): {path}.") from None


def _raw_mode(image: Image.Image) -> str:
    """How pixels stand in the file, as Pillow's decoder is told; empty if it is not."""
    for tile in getattr(image, "tile", ()):
        arguments = tile[3]
        return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)
    return ""


def _check_depth(image: Image.Image, path: Path) -> None:
    if image.mode.split(";")[0] in _DEEP_MODES:
        raise DataError(
            f"Expected an image of 8 bits a channel, got mode {image.mode} in {path}; convert it."
        )


def _upright(image: Image.Image) -> Image.Image:
    return ImageOps.exif_transpose(image)


def _is_whole(path: Path, format_: str | None) -> bool:
    """Whether the file surely is complete; others have to be decoded to know."""
    end = _ENDS.get(format_ or "")
    if end is None:
        return False
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(-min(len(end), file.tell()), os.SEEK_END)
        return file.read() == end


def _read_matlab(path: Path) -> np.ndarray:
    """The labels S of COCO-Stuff 10K's first release."""
    try:
        from scipy.io import loadmat
    except ModuleNotFoundError:
        raise DataError(
            f"Expected scipy to read {path}; pip install scipy, or convert the annotations to PNG."
        ) from None
    try:
        labels = loadmat(path, variable_names=["S"])["S"]
    except Exception as error:  # as for images
        raise DataError(f"Expected a MATLAB file with labels S, got {path} ({error}).") from None
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() > 255:
        raise DataError(
            f"Expected labels S as whole numbers of 0..255 [H, W], got {labels.dtype} "
            f"{list(labels.shape)} in {path}."
        )
    return labels.astype(np.uint8)
