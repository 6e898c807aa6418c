"""Images to calibrate on, from whatever holds them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seaformer_kernels.data import IMAGENET_MEAN, IMAGENET_STD
from seaformer_kernels.quantize.observers import OBSERVERS

LEAST_SAMPLES = 8

Normalisation = tuple[Sequence[float], Sequence[float]]


def check_options(op: str, observer: str, num_samples: int) -> None:
    """Raises ValueError unless these are what they should be."""
    if observer not in OBSERVERS:
        raise ValueError(f"{op}: expected observer {' or '.join(OBSERVERS)}, got {observer!r}.")
    if num_samples < 1:
        raise ValueError(f"{op}: expected num_samples from 1 up, got {num_samples}.")


def batches(
    data: Any,
    transform: Callable[[Any], Any] | None,
    normalisation: Normalisation | None,
    op: str = "quantize",
) -> Iterator[Tensor]:
    """Batches of normalised images, float32 [B, 3, H, W].

    Args:
        data: a folder of images; or any iterable of images, of batches, or of tuples and dicts that
            begin with them; uint8 ones are raw RGB values, others are normalised already.
        transform: of each item.
        normalisation: mean and std of raw values; those of ImageNet if None.
        op: name for messages.

    Raises:
        TypeError, ValueError: what comes is no image, or holds NaN or infinity.
    """
    if isinstance(data, str | os.PathLike):
        data = _read(Path(data), op)
    if not isinstance(data, Iterable):
        raise TypeError(
            f"{op}: expected calibration_data as an iterable of images or batches, or a folder, "
            f"got {type(data).__name__}."
        )
    mean, std = (
        torch.tensor(values).view(3, 1, 1)
        for values in (normalisation or (IMAGENET_MEAN, IMAGENET_STD))
    )
    for number, item in enumerate(data):
        x = _first(transform(item) if transform else item)
        if not isinstance(x, Tensor) or x.dim() not in (3, 4) or x.shape[-3] != 3:
            got = f"shape {list(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(
                f"{op}: expected images [3, H, W] or batches [B, 3, H, W] in calibration_data, "
                f"got {got} as item {number}."
            )
        x = x if x.dim() == 4 else x[None]
        x = (x.float() - mean) / std if x.dtype == torch.uint8 else x.float()
        if not x.isfinite().all():
            raise ValueError(
                f"{op}: expected finite numbers in calibration_data, got NaN or infinity in item "
                f"{number}."
            )
        yield x.contiguous(memory_format=torch.channels_last)


def limited(found: Iterator[Tensor], num_samples: int) -> Iterator[Tensor]:
    """No more images than this."""
    left = num_samples
    while left > 0 and (x := next(found, None)) is not None:
        yield x[:left]
        left -= len(x)


def check_count(op: str, count: int, num_samples: int) -> None:
    """Raises ValueError if there were too few images."""
    if count == 0:
        raise ValueError(f"{op}: expected images in calibration_data, got none.")
    if count < min(LEAST_SAMPLES, num_samples):
        raise ValueError(
            f"{op}: expected at least {LEAST_SAMPLES} images in calibration_data, as ranges of "
            f"fewer say little, got {count}."
        )


def progress(title: str, steps: Iterable[Any], total: int, wanted: bool) -> Iterable[Any]:
    """Goes through steps with a bar, by rich, on a terminal; `total` is about how many they are."""
    if not wanted:
        return steps
    try:
        from rich.console import Console
        from rich.progress import track
    except ImportError:
        return steps
    console = Console(stderr=True)
    return track(
        steps, title, total, console=console, transient=True, disable=not console.is_terminal
    )


def _first(item: Any) -> Any:
    while isinstance(item, tuple | list | dict) and len(item):
        item = next(iter(item.values())) if isinstance(item, dict) else item[0]
    return item


def _read(folder: Path, op: str) -> Iterator[Tensor]:
    from seaformer_kernels.data.files import list_files  # needs Pillow
    from seaformer_kernels.data.reading import read_image

    if not folder.is_dir():
        raise ValueError(f"{op}: expected calibration_data as a folder of images, got {folder}.")
    for file in list_files(folder).values():
        yield torch.from_numpy(read_image(file)).permute(2, 0, 1)
