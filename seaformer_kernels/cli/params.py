"""Kinds of values that options of several commands take."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import click

from seaformer_kernels.cli.errors import reason
from seaformer_kernels.models.backbone import MIN_SIZE


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
