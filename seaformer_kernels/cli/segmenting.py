"""What one process does to label images: a model, and the files it makes of each image."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from seaformer_kernels.cli import outputs, pipeline
from seaformer_kernels.cli.classes import Share
from seaformer_kernels.cli.engines import make_engine
from seaformer_kernels.cli.inputs import Input
from seaformer_kernels.cli.options import SegmentationOptions
from seaformer_kernels.cli.times import Times

STEPS = ("read", "predict", "write")


class Done(NamedTuple):
    """What is told of an image whose results are written.

    Attributes:
        size: its width and height.
        warning: what looks wrong about it, if anything.
        times: of the steps.
        shares: how many pixels have each label.
    """

    size: tuple[int, int]
    warning: str | None
    times: Times
    shares: list[Share]


class Segmenting:
    """Labels images by one model, and writes the results below one folder."""

    def __init__(
        self, model: torch.nn.Module, options: SegmentationOptions, out: Path, eager: bool
    ):
        self.engine = make_engine(model, options, eager)
        self.options = options
        self.out = out

    def __call__(self, file: Input) -> Done:
        """Labels one image.

        Raises:
            ImageError: the image cannot be read, is too small, or memory runs out; or its results
                cannot be written.
        """
        result = pipeline.segment(self.engine, file.path, self.options)
        pipeline.save(result, self.options, outputs.outputs_of(file.name, self.out))
        photo = result.photo
        return Done(photo.image.size, photo.warning, result.times, result.shares)
