"""What an evaluation found, as a table, as lines and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from seaformer_kernels.evaluate import (
    ClassificationResult,
    DetectionResult,
    SegmentationResult,
)
from seaformer_kernels.evaluate.run import Evaluation

Row = tuple[str, ...]
Result = SegmentationResult | ClassificationResult | DetectionResult

_COLUMNS = {
    SegmentationResult: ("mIoU", "pixel accuracy", "mean accuracy"),
    ClassificationResult: ("top-1", "top-5"),
    DetectionResult: ("AP", "AP50", "AP75", "AP small", "AP medium", "AP large"),
}
_METRICS = {
    SegmentationResult: ("miou", "pixel_accuracy", "mean_accuracy"),
    ClassificationResult: ("top1", "top5"),
    DetectionResult: ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"),
}


def tell(found: Evaluation) -> None:
    """Prints the engines beside each other, then the classes: tables on a terminal, else lines."""
    console = Console()
    tables = [(_engine_columns(found), _engine_rows(found))]
    first = next(iter(found.results.values()))
    if isinstance(first, SegmentationResult):
        tables.append((("class", "IoU", "accuracy"), _class_rows(first)))
    elif isinstance(first, DetectionResult):
        rows = [(first.name(i), _percent(ap)) for i, ap in enumerate(first.class_ap)]
        tables.append((("class", "AP"), rows))
    for columns, rows in tables:
        if console.is_terminal:
            console.print(_table(columns, rows))
        else:
            for head, *values in rows:
                told = [f"{n} {v}" for n, v in zip(columns[1:], values, strict=True)]
                click.echo(f"{head}: {', '.join(told)}")


def _table(columns: Sequence[str], rows: Sequence[Row]) -> Table:
    table = Table(columns[0], box=SIMPLE)
    for column in columns[1:]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # names are not markup
    return table


def _engine_columns(found: Evaluation) -> Row:
    result = next(iter(found.results.values()))
    compared: Row = ()
    if len(found.results) > 1:
        first = next(iter(found.results))
        objects = isinstance(result, DetectionResult)
        compared = (f"objects of {first} not found" if objects else f"labels unlike {first}",)
    return ("engine", *_COLUMNS[type(result)], *compared)


def _engine_rows(found: Evaluation) -> list[Row]:
    several = len(found.results) > 1
    return [
        (
            name,
            *map(_percent, _metrics(result).values()),
            *([f"{found.differing[name]:,} of {found.compared:,}"] if several else []),
        )
        for name, result in found.results.items()
    ]


def _class_rows(result: SegmentationResult) -> list[Row]:
    classes = zip(result.class_iou, result.class_accuracy, strict=True)
    return [
        (result.name(label), _percent(iou), _percent(accuracy))
        for label, (iou, accuracy) in enumerate(classes)
    ]


def _metrics(result: Result) -> dict[str, float]:
    return {name: getattr(result, name) for name in _METRICS[type(result)]}


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.2f}"


def to_json(found: Evaluation, about: dict[str, Any]) -> dict[str, Any]:
    """All of it, with shares in the range 0..1, and null where there is nothing to divide by.

    Args:
        found: of an evaluation.
        about: what was evaluated, and how.
    """
    engines = {}
    for name, result in found.results.items():
        engine: dict[str, Any] = {k: _number(v) for k, v in _metrics(result).items()}
        if isinstance(result, SegmentationResult):
            engine["classes"] = [
                {"name": result.name(label), "iou": _number(iou), "accuracy": _number(accuracy)}
                for label, (iou, accuracy) in enumerate(
                    zip(result.class_iou, result.class_accuracy, strict=True)
                )
            ]
            engine["confusion"] = result.confusion.tolist()
        elif isinstance(result, DetectionResult):
            engine["classes"] = [
                {"name": result.name(label), "ap": _number(ap)}
                for label, ap in enumerate(result.class_ap)
            ]
        engines[name] = {**engine, "labels_unlike_first": found.differing[name]}
    return {
        **about,
        "engines": engines,
        "labels": found.compared,
        "images": [{"image": n, "score": _number(s)} for n, s in found.scores.items()],
        "failed": [{"image": n, "reason": why} for n, why in found.failures.items()],
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
