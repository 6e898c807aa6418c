"""HEIC photographs, as phones take them, by a library that is optional."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from seaformer_kernels.cli.errors import ImageError

SUFFIXES = {".heic", ".heif", ".hif"}
_BRANDS = {b"heic", b"heim", b"heis", b"heix", b"hevc", b"hevm", b"hevs", b"hevx", b"mif1", b"msf1"}


def open_image(path: Path) -> Image.Image:
    """`Image.open`, also of HEIC files.

    Raises:
        ImageError: it is one, and pillow-heif is not installed.
    """
    try:
        return Image.open(path)
    except Image.UnidentifiedImageError:
        if not _is_heic(path):
            raise
    try:
        import pillow_heif
    except ModuleNotFoundError:
        raise ImageError(
            "a HEIC image, which needs pillow-heif: pip install 'seaformer-kernels[heic]'"
        ) from None
    pillow_heif.register_heif_opener()
    return Image.open(path)


def _is_heic(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:] in _BRANDS
