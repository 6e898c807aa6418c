"""Reading images, and their pixels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from seaformer_kernels.cli import heic
from seaformer_kernels.cli.depth import Photo, to_rgb
from seaformer_kernels.cli.errors import ImageError, out_of_memory, reason


@dataclass(frozen=True)
class Reading:
    """How image files are read.

    Attributes:
        bit_depth: how many bits the values of 16-bit images use; all, if None.
        max_pixels: how many pixels an image may have; Pillow's limit if None.
    """

    bit_depth: int | None = None
    max_pixels: int | None = None


def read(path: Path, reading: Reading | None = None) -> Photo:
    """An image as 8-bit RGB, turned upright as its EXIF orientation says.

    Raises:
        ImageError: it cannot be read, or holds what is not supported.
    """
    reading = reading or Reading()
    try:
        with warnings.catch_warnings(), _limit(reading.max_pixels):
            warnings.simplefilter("ignore")  # Pillow warns of harmless things, as odd metadata
            with heic.open_image(path) as image, out_of_memory(*image.size):
                return to_rgb(image, path, reading.bit_depth)
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError("no such file") from None
    except Image.UnidentifiedImageError:
        raise ImageError("not an image of a kind that can be read") from None
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"refused as a possible decompression bomb, unless --max-pixels allows it: {error}"
        ) from None
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise ImageError(f"cannot be read: {reason(error)}") from None


@contextmanager
def _limit(max_pixels: int | None) -> Iterator[None]:
    """Has Pillow refuse images of more pixels."""
    before = Image.MAX_IMAGE_PIXELS
    if max_pixels is not None:
        Image.MAX_IMAGE_PIXELS = -(-max_pixels // 2)  # Pillow refuses what is twice as large
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def to_pixels(image: Image.Image) -> torch.Tensor:
    """The pixels of an RGB image, uint8 [1, 3, H, W], channels_last."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
