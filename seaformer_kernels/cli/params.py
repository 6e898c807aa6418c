"""Kinds of values that options of several commands take."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import click

from seaformer_kernels.cli.errors import reason
from seaformer_kernels.models import CheckpointError
from seaformer_kernels.models.backbone import MIN_SIZE
from seaformer_kernels.models.config import FAMILY
from seaformer_kernels.models.pretrained.config import (
    CONFIG,
    WEIGHTS,
    PretrainedConfig,
    read_config,
)
from seaformer_kernels.models.pretrained.load import find_folder
from seaformer_kernels.models.pretrained.packaged import list_pretrained


class Size(click.ParamType):
    """(width, height) in pixels, large enough for the network."""

    name = "WxH"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", value)
        if not match:
            self.fail(
                f"expected WIDTHxHEIGHT or the side of a square, such as 640x480 or 512, got "
                f"{value!r}",
                param,
                ctx,
            )
        width, height = int(match[1]), int(match[2] or match[1])
        if min(width, height) < MIN_SIZE:
            self.fail(f"both sides must be at least {MIN_SIZE} pixels, got {value}", param, ctx)
        return width, height


class LocalPath(click.Path):
    """The path of something on this machine."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        # Checked before a Path joins the two slashes.
        if isinstance(value, str) and re.match(r"[a-z][a-z0-9+.-]+://", value, re.IGNORECASE):
            self.fail(
                f"expected a file on this machine, got {value}; addresses are not fetched, "
                "download it first",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


@dataclass(frozen=True)
class Weights:
    """What `--weights` names: a checkpoint, or the folder of a whole model.

    Attributes:
        given: as it was named, for messages.
        path: of the file or the folder.
        config: what the folder says of the model; None for a checkpoint.
    """

    given: str
    path: Path
    config: PretrainedConfig | None = None

    @property
    def files(self) -> list[Path]:
        """The files that are read."""
        return [self.path] if self.config is None else [self.path / CONFIG, self.path / WEIGHTS]

    @property
    def architecture(self) -> str | None:
        """What to call the folder's model."""
        return self.config and (self.config.name or "a SeaFormer of its own")

    def check(self, task: str | None, model: str | None, num_classes: int | None) -> None:
        """Raises click.UsageError if what is asked for, if it is, is not what the folder holds."""
        config = self.config
        if config is None:
            return
        if task is not None and task != config.task:
            raise click.UsageError(
                f"Expected weights for {task}, got {self.given}, which is for {config.task}."
            )
        if model is not None and FAMILY[model] != config.config:
            raise click.UsageError(
                f"Expected weights of {model}, got {self.given}, which is {self.architecture}; it "
                "needs no name of a model."
            )
        if num_classes is not None and num_classes != config.num_classes:
            raise click.UsageError(
                f"Expected weights for {num_classes} classes, got {self.given}, which is for "
                f"{config.num_classes}; it needs no number of classes."
            )


def weights_in(name: str) -> Weights:
    """A folder, or what comes with the package.

    Raises:
        CheckpointError: there is none, or its config.json is not right.
    """
    folder = find_folder(name)
    return Weights(click.format_filename(name), folder, read_config(folder))


class WeightsSource(LocalPath):
    """A checkpoint, a folder of `save_pretrained`, or the name of packaged weights."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Weights:
        if isinstance(value, Weights):
            return value
        path = super().convert(value, param, ctx)
        try:
            # What is not there and has a suffix was meant as a file.
            absent = not path.exists() and (value in list_pretrained() or not path.suffix)
            if absent or path.is_dir():
                return weights_in(value)
        except (CheckpointError, OSError) as error:
            self.fail(str(error), param, ctx)
        return Weights(click.format_filename(value), path)


class ClassNames(NamedTuple):
    """The content of a file of class names."""

    path: Path
    names: tuple[str, ...]


class ClassNamesFile(LocalPath):
    """A file of class names, in the order of the labels."""

    def convert(self, value: Any, param: Any, ctx: Any) -> ClassNames:
        path = super().convert(value, param, ctx)
        try:
            return ClassNames(path, parse_class_names(path.read_text("utf-8-sig")))
        except OSError as error:
            why = f"cannot be read: {reason(error)}"
        except UnicodeDecodeError:
            why = "expected UTF-8 text, got other bytes"
        except ValueError as error:
            why = str(error)
        return self.fail(f"{click.format_filename(path)}: {why}", param, ctx)


def parse_class_names(text: str) -> tuple[str, ...]:
    """The names in a text, in the order of the labels.

    Args:
        text: one name a line; or JSON: a list of names, or an object of them by label such as
            {"0": "tench"} or, as ImageNet's is spread, {"0": ["n01440764", "tench"]}.

    Raises:
        ValueError: it holds no names, or a label lacks one.
    """
    if text.lstrip().startswith(("[", "{")):
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"expected JSON, as it begins like it, but: {error}") from None
        names = _in_order(found) if isinstance(found, dict) else found
    else:
        names = text.rstrip().splitlines()
    if not names:
        raise ValueError("expected class names, got none")
    names = [name[-1] if isinstance(name, list) and name else name for name in names]
    for label, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"expected a name for label {label}, got {name!r}")
    return tuple(" ".join(name.split()) for name in names)


def _in_order(names: dict[str, Any]) -> list[Any]:
    labels = [str(label) for label in range(len(names))]
    if set(labels) != names.keys():
        raise ValueError(
            f"expected the labels 0 to {len(names) - 1} as keys, got {', '.join(names)[:60]}"
        )
    return [names[label] for label in labels]
