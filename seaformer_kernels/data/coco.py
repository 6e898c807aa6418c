"""Annotations in COCO's format, which many tools write: one JSON file for the boxes of a split."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import torch

from seaformer_kernels.data.detection import DetectionData
from seaformer_kernels.data.files import find_folder, some
from seaformer_kernels.data.objects import Objects
from seaformer_kernels.data.reading import DataError, Sample

_LARGEST_ID = 1 << 53  # of those that float64 tells apart
_LARGEST_SIDE = 1 << 16
_LARGEST = 1e9  # of coordinates and areas
_SMALLEST = 1 / 64  # pixels: side of a box, so that it has one in float32
_LONGEST_NAME = 200
_KINDS = {int: "an integer", str: "text", list: "a list", dict: "an object"}

Box = tuple[float, float, float, float]  # left, top, right, bottom


def find_coco(root: Path, split: str) -> tuple[Path, Path]:
    """The annotations of a split and the folder of its images, below a root.

    Raises:
        DataError: they are not there.
    """
    names = (
        f"annotations/instances_{split}2017.json",
        f"annotations/instances_{split}.json",
        f"annotations/{split}.json",
        f"{split}.json",
        f"{split}/_annotations.coco.json",
    )
    found = next((root / name for name in names if (root / name).is_file()), None)
    if found is None:
        find_folder(root, ".")
        raise DataError(f"Expected one of {', '.join(names)} in {root}, got none.")
    choices = (f"images/{split}2017", f"{split}2017", f"images/{split}", split, "images")
    return found, find_folder(root, *choices)


def read_coco(path: Path, images: Path) -> DetectionData:
    """Images and boxes of a JSON file in COCO's format; no image is opened.

    Classes are the categories in the order of their ids. Boxes are clipped to their images; those
    that have no area then are left out, of which a warning tells.

    Args:
        path: the JSON file.
        images: folder that file names in it are below.

    Raises:
        DataError: the file is no such thing, or images are not there; the message tells which entry
            is wrong, and what was expected.
    """
    return _Reader(path).read(images)


class _Reader:
    """One file; what is wrong in it is told with its name and the entry."""

    def __init__(self, path: Path):
        self.path = path

    def read(self, images: Path) -> DetectionData:
        content = self._content()
        names = self._categories(content)
        labels = {category: label for label, category in enumerate(sorted(names))}
        files, sizes = self._images(content)
        found: dict[int, list[tuple[Box, int, bool, float]]] = {image: [] for image in files}
        total = dropped = 0
        for where, entry in self._entries(content, "annotations"):
            image = self._known(entry, where, "image_id", files, "images")
            category = self._known(entry, where, "category_id", labels, "categories")
            box, area = self._box(entry, where), self._area(entry, where)
            crowd = self._crowd(entry, where)
            box = _clipped(box, sizes[image])
            width, height = box[2] - box[0], box[3] - box[1]
            total += 1
            if min(width, height) >= _SMALLEST:
                area = width * height if area is None else area
                found[image].append((box, labels[category], crowd, area))
            else:
                dropped += 1
        if dropped:
            warnings.warn(
                f"{dropped} of {total} boxes in {self.path} have no area in their image, and are "
                "left out.",
                stacklevel=4,
            )
        order = sorted(files, key=files.__getitem__)
        samples = [Sample(images / files[image], name=_stem(files[image])) for image in order]
        self._check_files(samples, images)
        return DetectionData(
            [names[category] for category in labels],
            list(labels),
            samples,
            [sizes[image] for image in order],
            [_objects(found[image], image) for image in order],
            dropped,
        )

    def _content(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_text("utf-8-sig"), parse_constant=_no_number)
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}.") from None
        except (ValueError, RecursionError) as error:
            raise DataError(f"Expected annotations as JSON in {self.path}: {error}.") from None
        if not isinstance(content, dict):
            self._fail("the file", "an object with images, annotations and categories", content)
        return content

    def _categories(self, content: dict[str, Any]) -> dict[int, str]:
        names: dict[int, str] = {}
        for where, entry in self._entries(content, "categories"):
            key = self._id(entry, where, names)
            name = self._value(entry, where, "name", str)
            if not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
                expected = f"a printable name of at most {_LONGEST_NAME} characters"
                self._fail(f"{where}.name", expected, name)
            names[key] = name
        if not names:
            self._fail("categories", "at least one", [])
        return names

    def _images(self, content: dict[str, Any]) -> tuple[dict[int, str], dict[int, tuple[int, int]]]:
        """File, and width and height, of each image by its id."""
        files: dict[int, str] = {}
        sizes: dict[int, tuple[int, int]] = {}
        seen: set[str] = set()
        for where, entry in self._entries(content, "images"):
            key = self._id(entry, where, files)
            name = self._value(entry, where, "file_name", str)
            inside = PurePosixPath(name)
            if inside.is_absolute() or ".." in inside.parts or not name.isprintable():
                self._fail(f"{where}.file_name", "a path below the folder of images", name)
            if not inside.name:
                self._fail(f"{where}.file_name", "the name of a file", name)
            if _stem(name) in seen:
                self._fail(f"{where}.file_name", "each name once, without its suffix", name)
            seen.add(_stem(name))
            files[key] = name
            width, height = (self._side(entry, where, side) for side in ("width", "height"))
            sizes[key] = width, height
        if not files:
            self._fail("images", "at least one", [])
        return files, sizes

    def _check_files(self, samples: list[Sample], images: Path) -> None:
        if missing := [sample.image for sample in samples if not sample.image.is_file()]:
            raise DataError(
                f"Expected the images that {self.path} names in {images}, got none for "
                f"{len(missing)} of {len(samples)}: {some(missing)}."
            )

    def _entries(self, content: dict[str, Any], key: str) -> Iterator[tuple[str, dict[str, Any]]]:
        if key not in content:
            raise DataError(f"{self.path}: expected {key}, got {some(content) or 'nothing'}.")
        if not isinstance(content[key], list):
            self._fail(key, "a list", content[key])
        for number, entry in enumerate(content[key]):
            if not isinstance(entry, dict):
                self._fail(f"{key}[{number}]", "an object", entry)
            yield f"{key}[{number}]", entry

    def _value(self, entry: dict[str, Any], where: str, key: str, kind: type) -> Any:
        if key not in entry:
            raise DataError(f"{self.path}: {where}: the key {key!r} is missing.")
        if type(entry[key]) is not kind:  # True is no integer here
            self._fail(f"{where}.{key}", _KINDS[kind], entry[key])
        return entry[key]

    def _id(self, entry: dict[str, Any], where: str, known: Mapping[int, object]) -> int:
        key = self._value(entry, where, "id", int)
        if abs(key) > _LARGEST_ID:
            self._fail(f"{where}.id", f"an integer up to {_LARGEST_ID}", key)
        if key in known:
            self._fail(f"{where}.id", "each id once", key)
        return key

    def _known(
        self, entry: dict[str, Any], where: str, key: str, known: Mapping[int, object], what: str
    ) -> int:
        value = self._value(entry, where, key, int)
        if value not in known:
            self._fail(f"{where}.{key}", f"the id of one of {what}", value)
        return value

    def _side(self, entry: dict[str, Any], where: str, key: str) -> int:
        side = self._value(entry, where, key, int)
        if not 1 <= side <= _LARGEST_SIDE:
            self._fail(f"{where}.{key}", f"an integer 1..{_LARGEST_SIDE}", side)
        return side

    def _box(self, entry: dict[str, Any], where: str) -> Box:
        """Left, top, width and height."""
        box = self._value(entry, where, "bbox", list)
        if len(box) != 4 or not all(_is_number(value) for value in box):
            self._fail(f"{where}.bbox", "left, top, width and height as four numbers", box)
        return box[0], box[1], box[2], box[3]

    def _area(self, entry: dict[str, Any], where: str) -> float | None:
        area = entry.get("area")
        if area is not None and not (_is_number(area) and area >= 0):
            self._fail(f"{where}.area", "a number from 0 up", area)
        return area

    def _crowd(self, entry: dict[str, Any], where: str) -> bool:
        crowd = entry.get("iscrowd", 0)
        if type(crowd) not in (int, bool) or crowd not in (0, 1):
            self._fail(f"{where}.iscrowd", "0 or 1", crowd)
        return bool(crowd)

    def _fail(self, where: str, expected: str, got: object) -> NoReturn:
        raise DataError(f"{self.path}: {where}: expected {expected}, got {ascii(got)[:80]}.")


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


def _is_number(value: object) -> bool:
    if type(value) not in (int, float):
        return False
    return abs(value) <= _LARGEST  # type: ignore[arg-type]  # NaN compares false


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()


def _clipped(box: Box, size: tuple[int, int]) -> Box:
    """Left, top, right and bottom, in the image, of left, top, width and height."""
    (left, top, width, height), (right, bottom) = box, size

    def inside(value: float, most: int) -> float:
        return min(max(float(value), 0.0), float(most))

    return (
        inside(left, right),
        inside(top, bottom),
        inside(left + width, right),
        inside(top + height, bottom),
    )


def _objects(found: list[tuple[Box, int, bool, float]], image: int) -> Objects:
    boxes, classes, crowd, areas = zip(*found, strict=True) if found else ((), (), (), ())
    return Objects(
        torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        torch.tensor(classes, dtype=torch.int64),
        torch.tensor(crowd, dtype=torch.bool),
        torch.tensor(areas, dtype=torch.float32),
        image,
    )
