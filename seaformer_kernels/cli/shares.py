"""How much of images each class covers, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from seaformer_kernels.cli.classes import Classes, Share

_ROWS = 20


def records(shares: Sequence[Share], classes: Classes) -> list[dict[str, Any]]:
    """What commands write as JSON."""
    return [
        {"name": classes.names[s.label] if classes.names else None, **s._asdict()} for s in shares
    ]


def show(shares: Sequence[Share], classes: Classes, images: int, console: Console) -> None:
    """A table of the largest classes in that many images."""
    click.echo(f"Share of each class in {images} images:" if images > 1 else "Share of each class:")
    table = Table(box=SIMPLE)
    for column in ("share", "pixels", "label"):
        table.add_column(column, justify="right")
    if classes.names:
        table.add_column("class")
    for share in shares[:_ROWS]:
        name = [Text(classes.names[share.label])] if classes.names else []
        table.add_row(f"{share.share:.2%}", f"{share.pixels:,}", str(share.label), *name)
    console.print(table)
    if len(shares) > _ROWS:
        click.echo(f"{len(shares) - _ROWS} more have less; --json tells all.")
