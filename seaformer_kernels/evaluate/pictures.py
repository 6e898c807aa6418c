"""Pictures of an evaluation: the confusion matrix, the worst images, overlays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from seaformer_kernels.data import Dataset
from seaformer_kernels.evaluate.boxes import draw_boxes
from seaformer_kernels.evaluate.detection import Detection
from seaformer_kernels.evaluate.engines import Engine
from seaformer_kernels.evaluate.metrics import SegmentationResult, class_iou
from seaformer_kernels.evaluate.segmentation import Segmentation
from seaformer_kernels.models import Detections

NEEDS_MATPLOTLIB = (
    "A picture of the confusion matrix needs matplotlib: pip install 'seaformer-kernels[train]'"
)
_MOST_NUMBERS = 25  # classes up to which cells of the matrix have numbers
_CELL, _NARROWEST = 360, 220  # pixels: longer side of a picture on a sheet, width of a column
_GAP, _TEXT = 12, 14  # pixels: margin, letters
_COLUMNS = 3


def draw_confusion(result: SegmentationResult, path: Path, suffix: str = "png") -> None:
    """Draws the confusion matrix, each row as shares of the pixels with that label.

    Args:
        result: of an evaluation.
        path: the file.
        suffix: its kind, such as png, svg or pdf.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: matplotlib does not write such files.
        OSError: the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(NEEDS_MATPLOTLIB) from None
    counts = result.confusion.double()
    classes = len(counts)
    shares = (counts / counts.sum(1, keepdim=True)).numpy()  # NaN, blank, where nothing has a label
    names = [result.name(label).replace("$", r"\$") for label in range(classes)]  # no formulas
    side = 3 + (0.45 if classes <= _MOST_NUMBERS else 0.16) * classes
    letters = 9 if classes <= _MOST_NUMBERS else 7
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(classes), names, rotation=90, fontsize=letters)
    axes.set_yticks(range(classes), names, fontsize=letters)
    axes.set(xlabel="prediction", ylabel="label", title=f"mIoU {result.miou:.1%}")
    if classes <= _MOST_NUMBERS:
        for row, column in np.argwhere(shares >= 0.005):
            share = shares[row, column]
            color = "white" if share > 0.5 else "black"
            axes.text(
                column, row, f"{100 * share:.0f}", color=color, ha="center", va="center", fontsize=8
            )
    figure.savefig(path, format=suffix)


def worst(scores: dict[str, float], count: int) -> list[str]:
    """Names of the images with the lowest scores, the worst first; those without one left out."""
    known = [name for name, score in scores.items() if not math.isnan(score)]
    return sorted(known, key=lambda name: scores[name])[:count]


def draw_comparison(
    task: Segmentation, engine: Engine, data: Any, names: Sequence[str]
) -> Image.Image:
    """A sheet with a row for each image: photograph, truth, prediction, and the IoU of its classes.

    Args:
        task: how images are labelled.
        engine: what labels them.
        data: a `SegmentationData`.
        names: of samples.

    Raises:
        ValueError: there is no sample of a name, or none is asked for; or as `data` raises.
    """
    rows = []
    for one in _labelled(task, engine, data, names):
        cells = [
            ("photograph", _photo(one.image)),
            ("truth", overlay(one.image, one.truth, task.facts)),
            ("prediction", overlay(one.image, one.labels, task.facts)),
        ]
        iou = class_iou(one.counts).tolist()
        notes = [
            _Note(f"{name} {value:.2f}", color)
            for name, color, value in zip(task.facts.classes, task.facts.colors, iou, strict=True)
            if not math.isnan(value)
        ]
        rows.append(_Row(cells, f"{one.name}   mIoU {task.score(one.counts):.3f}", notes))
    return _sheet(rows)


def draw_overlays(
    task: Segmentation, engine: Engine, data: Any, names: Sequence[str]
) -> Image.Image:
    """A sheet of predictions laid over images, with a legend; arguments as `draw_comparison`."""
    cells, seen = [], set()
    for one in _labelled(task, engine, data, names):
        score = task.score(one.counts)
        told = "" if math.isnan(score) else f"   mIoU {score:.3f}"
        cells.append((f"{one.name}{told}", overlay(one.image, one.labels, task.facts)))
        seen |= set(one.labels.unique().tolist())
    rows = [_Row(cells[i : i + _COLUMNS]) for i in range(0, len(cells), _COLUMNS)]
    rows[-1].notes = [
        _Note(task.facts.classes[label], task.facts.colors[label]) for label in sorted(seen)
    ]
    return _sheet(rows)


def draw_detections(
    task: Detection, engine: Any, data: Any, names: Sequence[str], least_score: float = 0.3
) -> Image.Image:
    """A sheet of images with the objects found in them, beside those that there are.

    Args:
        task: how objects are found.
        engine: what finds them.
        data: a `DetectionData`.
        names: of samples.
        least_score: objects of lower scores are left out.

    Raises:
        ValueError: as `draw_comparison`.
    """
    rows = []
    for one in _labelled(task, engine, data, names):
        score = task.score(one.counts)
        told = "" if math.isnan(score) else f"   F1 {score:.3f}"
        truth = Detections(one.truth.boxes, torch.ones_like(one.truth.areas), one.truth.classes)
        cells = []
        for caption, objects in ("truth", truth), ("prediction", one.labels):
            picture = _photo(one.image)
            draw_boxes(picture, objects, data.classes, data.colors, least_score)
            cells.append((caption, picture))
        rows.append(_Row(cells, f"{one.name}{told}"))
    return _sheet(rows)


def overlay(image: Tensor, labels: Tensor, facts: Dataset, alpha: float = 0.6) -> Image.Image:
    """An image with the colours of its labels laid over it; what is no class is black.

    Args:
        image: uint8 [3, H, W].
        labels: integers [H, W].
        facts: of the data set, for its colours.
        alpha: share of the colours.
    """
    colors = np.zeros((max(len(facts.colors), int(labels.max())) + 1, 3), np.uint8)
    colors[: len(facts.colors)] = facts.colors
    return Image.blend(_photo(image), Image.fromarray(colors[labels.long().numpy()]), alpha)


def _photo(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())


@dataclass
class _Labelled:
    name: str
    image: Tensor
    truth: Any
    labels: Any
    counts: Tensor


def _labelled(task: Any, engine: Any, data: Any, names: Sequence[str]) -> list[_Labelled]:
    if not names:
        raise ValueError("Expected images for a sheet, got none.")
    index = {sample.name: i for i, sample in enumerate(data.samples)}
    unknown = [name for name in names if name not in index]
    if unknown:
        raise ValueError(
            f"Expected names of images such as {data.samples[0].name!r}, got {unknown[0]!r}."
        )
    found = []
    for name in names:
        image, truth = data[index[name]]
        labels = task.predict(engine, image)
        found.append(_Labelled(name, image, truth, labels, task.count(labels, truth)))
    return found


@dataclass
class _Note:
    text: str
    color: tuple[int, int, int]


@dataclass
class _Row:
    cells: list[tuple[str, Image.Image]]  # caption and picture
    title: str = ""
    notes: list[_Note] = field(default_factory=list)


def _sheet(rows: Sequence[_Row]) -> Image.Image:
    """Rows of captioned pictures, each with a title above and notes below."""
    font = ImageFont.load_default(_TEXT)
    line = _TEXT + 6
    fitted = [[_fitting(picture) for _, picture in row.cells] for row in rows]
    column = max(_NARROWEST, *(picture.width for pictures in fitted for picture in pictures))
    width = _GAP + max(len(row.cells) for row in rows) * (column + _GAP)
    drawn = []
    for row, pictures in zip(rows, fitted, strict=True):
        lines = _wrapped(row.notes, font, width - 2 * _GAP)
        top = line if row.title else 0
        tallest = max(picture.height for picture in pictures)
        strip = Image.new("RGB", (width, top + line + tallest + line * len(lines) + _GAP), "white")
        draw = ImageDraw.Draw(strip)
        draw.text((_GAP, 2), _printable(row.title), "black", font)
        for i, ((caption, _), picture) in enumerate(zip(row.cells, pictures, strict=True)):
            left = _GAP + i * (column + _GAP)
            draw.text((left, top + 2), _shortened(caption, font, column), "black", font)
            strip.paste(picture, (left, top + line))
        for number, notes in enumerate(lines):
            left, y = _GAP, top + line + tallest + 4 + number * line
            for note in notes:
                draw.rectangle((left, y, left + _TEXT, y + _TEXT), note.color, "black")
                draw.text((left + _TEXT + 4, y), _printable(note.text), "black", font)
                left += _note_width(note, font)
        drawn.append(strip)
    sheet = Image.new("RGB", (width, _GAP + sum(strip.height for strip in drawn)), "white")
    y = _GAP
    for strip in drawn:
        sheet.paste(strip, (0, y))
        y += strip.height
    return sheet


def _fitting(picture: Image.Image) -> Image.Image:
    factor = _CELL / max(picture.size)
    width, height = (max(1, round(side * factor)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def _note_width(note: _Note, font: Any) -> int:
    return int(_TEXT + 4 + font.getlength(_printable(note.text)) + _GAP)


def _wrapped(notes: Sequence[_Note], font: Any, width: int) -> list[list[_Note]]:
    lines: list[list[_Note]] = []
    left = width
    for note in notes:
        needed = _note_width(note, font)
        if left + needed > width:
            lines.append([])
            left = 0
        lines[-1].append(note)
        left += needed
    return lines


def _shortened(text: str, font: Any, width: int) -> str:
    """The text, or its end where it is too long."""
    text = _printable(text)
    while font.getlength(text) > width and len(text) > 4:
        text = "..." + text[4:]
    return text


def _printable(text: str) -> str:
    """The text as every font of Pillow has it."""
    return text.encode("latin-1", "replace").decode("latin-1")
