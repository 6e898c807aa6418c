"""Command-line options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

import seaformer_kernels as sk
from seaformer_kernels.cli.palettes import PALETTES, Palette
from seaformer_kernels.models.backbone import MIN_SIZE


class Size(click.ParamType):
    """WIDTHxHEIGHT in pixels, large enough for the network."""

    name = "WxH"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", value)
        if not match:
            self.fail(f"expected width x height such as 512x512, got {value!r}", param, ctx)
        width, height = int(match[1]), int(match[2])
        if min(width, height) < MIN_SIZE:
            self.fail(f"both sides must be at least {MIN_SIZE} pixels, got {value}", param, ctx)
        return width, height


@dataclass(frozen=True)
class ModelOptions:
    """What `model_options` adds to a command."""

    model: str
    weights: Path | None
    palette: str
    num_classes: int | None
    resize: tuple[int, int] | None
    alpha: float
    threads: int | None

    @property
    def data_set(self) -> Palette:
        """Colours and names of the classes."""
        return PALETTES[self.palette]

    @property
    def classes(self) -> int:
        """How many classes the model tells apart."""
        return self.num_classes or len(self.data_set.names)


_MODEL_OPTIONS = (
    click.option(
        "--model",
        type=click.Choice(sk.list_models()),
        default="seaformer_base",
        show_default=True,
        help="Member of the family.",
    ),
    click.option(
        "--weights",
        type=click.Path(path_type=Path),
        help="Checkpoint, .pth or .safetensors.  [default: seeded random weights]",
    ),
    click.option(
        "--palette",
        type=click.Choice(list(PALETTES)),
        default="ade20k",
        show_default=True,
        help="Data set that gives classes their colours.",
    ),
    click.option(
        "--num-classes",
        type=click.IntRange(1, 1 << 16),
        help="Classes of the model.  [default: those of the palette]",
    ),
    click.option(
        "--resize",
        type=Size(),
        help="Size the network sees; labels keep that of the image.  [default: that of the image]",
    ),
    click.option(
        "--alpha",
        type=click.FloatRange(0, 1),
        default=0.5,
        show_default=True,
        help="Share of the colours in the overlay.",
    ),
    click.option("--threads", type=click.IntRange(min=1), help="Threads torch may use."),
)


def model_options(command: Callable) -> Callable:
    """Adds the options of a command that runs a model on images and draws the result."""
    for option in reversed(_MODEL_OPTIONS):
        command = option(command)
    return command
