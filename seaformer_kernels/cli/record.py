"""What commands write as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seaformer_kernels.cli.inputs import Input
from seaformer_kernels.cli.options import ModelOptions
from seaformer_kernels.cli.outputs import show
from seaformer_kernels.cli.times import Times


def of_image(file: Input, size: tuple[int, int], times: Times, **found: Any) -> dict[str, Any]:
    """One image of this width and height, and what is found in it."""
    return {
        "image": show(file.path),
        "width": size[0],
        "height": size[1],
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
        "model": options.architecture,
        "task": options.task,
        "weights": options.weights.given if options.weights else None,
        **found,
        "images": images,
        "failed": [{"image": show(f.path), "reason": why} for f, why in failures.items()],
    }
