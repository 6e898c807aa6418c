"""What commands write as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seaformer_kernels.cli.depth import Photo
from seaformer_kernels.cli.inputs import Input
from seaformer_kernels.cli.options import ModelOptions
from seaformer_kernels.cli.outputs import show
from seaformer_kernels.cli.times import Times


def of_image(file: Input, photo: Photo, times: Times, **found: Any) -> dict[str, Any]:
    """One image and what is found in it."""
    return {
        "image": show(file.path),
        "width": photo.image.width,
        "height": photo.image.height,
        "milliseconds": times,
        **found,
    }


def of_run(
    options: ModelOptions,
    images: Sequence[dict[str, Any]],
    failures: Mapping[Input, str],
    **found: Any,
) -> dict[str, Any]:
    """A whole run."""
    return {
        "model": options.model,
        "task": options.task,
        "weights": show(options.weights) if options.weights else None,
        **found,
        "images": images,
        "failed": [{"image": show(f.path), "reason": why} for f, why in failures.items()],
    }
