"""Images: finding and reading them, the network's input, colours for labels."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from seaformer_kernels.cli.errors import ImageError, out_of_memory, reason
from seaformer_kernels.cli.outputs import LABELS, OVERLAY

SUFFIXES = {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}

# Of the training recipe: RGB, 0-255.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


def find(path: Path) -> list[Path]:
    """The images of a directory, or the file itself.

    What this program writes is not taken for an image when it is found in a directory.
    """
    return sorted(filter(_is_input, path.iterdir())) if path.is_dir() else [path]


def _is_input(path: Path) -> bool:
    return (
        path.suffix.lower() in SUFFIXES
        and not path.name.startswith(".")
        and not path.name.endswith((LABELS, OVERLAY))
        and path.is_file()
    )


def read(path: Path) -> Image.Image:
    """The image as 8-bit RGB, turned upright as its EXIF orientation says."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of harmless things, as odd metadata
            with Image.open(path) as image, out_of_memory(*image.size):
                return _to_rgb(ImageOps.exif_transpose(image))
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError("no such file") from None
    except Image.UnidentifiedImageError:
        raise ImageError("not an image") from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"refused as a possible decompression bomb: {error}") from None
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise ImageError(f"cannot be read: {reason(error)}") from None


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        # Pillow would clip what is above 255 instead of scaling it.
        pixels = np.asarray(image)
        if pixels.dtype.kind == "f" or pixels.min() < 0 or pixels.max() > 0xFFFF:
            raise ImageError(f"holds {pixels.dtype} pixels; 8 or 16 bits are supported")
        image = Image.fromarray((pixels >> 8).astype(np.uint8))
    return image.convert("RGB")


def to_pixels(image: Image.Image) -> torch.Tensor:
    """The pixels of an RGB image, uint8 [1, 3, H, W], channels_last."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]


def to_tensor(image: Image.Image) -> torch.Tensor:
    """Normalised float32 [1, 3, H, W] of an RGB image, channels_last."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return to_pixels(image).float().sub_(mean).div_(std)


def colour(labels: np.ndarray, colours: np.ndarray) -> tuple[Image.Image, Image.Image]:
    """Labels [H, W] as an image whose pixel values they are, and as an RGB image.

    The first is a palette image, or 16-bit greyscale for labels of more than 8 bits.
    """
    if labels.dtype != np.uint8:
        return Image.fromarray(labels.astype(np.uint16)), Image.fromarray(colours[labels])
    indexed = Image.fromarray(labels)
    indexed.putpalette(colours.tobytes())
    return indexed, indexed.convert("RGB")
