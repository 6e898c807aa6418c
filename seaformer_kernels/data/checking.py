"""Finding what is wrong in a data set's files before it costs a training."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from seaformer_kernels.data.classification import ClassificationData
from seaformer_kernels.data.detection import DetectionData
from seaformer_kernels.data.files import some
from seaformer_kernels.data.reading import DataError, Sample, image_size
from seaformer_kernels.data.segmentation import SegmentationData

Data = SegmentationData | ClassificationData | DetectionData


class _Finding(NamedTuple):
    """What one sample's files are like.

    Attributes:
        unreadable: sentences about files that cannot be read.
        sizes: what does not fit, if the image has another size than its mask or annotations say.
        wrong: how many pixels have each value that is not a label.
        empty: whether no pixel counts.
    """

    unreadable: list[str]
    sizes: str | None
    wrong: dict[int, int]
    empty: bool


def check(
    data: Data,
    *,
    sizes: bool = True,
    workers: int = 2,
    progress: Callable[[int, int], object] | None = None,
) -> None:
    """Reads all masks, and the headers of all images, and tells everything that is wrong.

    Warns of masks in which no pixel counts. Of boxes, which were read with their file, it looks at
    their images' sizes, and that there are any. Pixels of images are decoded where the file does
    not end as a whole one does.

    Args:
        data: the data set.
        sizes: whether images are opened; without, they are only looked for.
        workers: number of threads.
        progress: is called with how many samples were read, and of how many.

    Raises:
        DataError: files cannot be read, masks or annotations are of another size than their images,
            masks have values that are not labels, or there is no box; the message says how many,
            and names the first few.
    """
    with_masks = data if isinstance(data, SegmentationData) else None
    said = data.sizes if isinstance(data, DetectionData) else [None] * len(data)

    def look(sample: Sample, size: tuple[int, int] | None) -> _Finding:
        return _look(with_masks, sample, size, sizes)

    findings: list[_Finding] = []
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for finding in pool.map(look, data.samples, said):
            findings.append(finding)
            if progress is not None:
                progress(len(findings), len(data.samples))
    problems = _problems(data, findings)
    if problems:
        raise DataError("\n".join(problems))
    if empty := [s.mask for s, f in zip(data.samples, findings, strict=True) if f.empty]:
        if len(empty) == len(data):
            raise DataError(f"Expected masks with labels, got none that counts in {some(empty)}.")
        warnings.warn(
            f"No pixel counts in {len(empty)} of {len(data)} masks: {some(empty)}.", stacklevel=2
        )


def _look(
    data: SegmentationData | None, sample: Sample, said: tuple[int, int] | None, sizes: bool
) -> _Finding:
    """What a sample's files are like; `said` is the size that its annotations say."""
    unreadable, size, mismatch = [], None, None
    wrong: dict[int, int] = {}
    empty = False
    try:
        if sizes:
            size = image_size(sample.image)
        elif not sample.image.is_file():
            raise DataError(f"Expected an image file, got none at {sample.image}.")
    except DataError as error:
        unreadable.append(str(error))
    if size is not None and said is not None and size != said:
        mismatch = "{} ({}x{}, not {}x{})".format(sample.image, *size, *said)
    if data is not None:
        try:
            labels, wrong = data.read_labels(sample)
        except DataError as error:
            unreadable.append(str(error))
        else:
            empty = not wrong and bool((labels == data.facts.ignore_label).all())
            height, width = labels.shape
            if size is not None and size != (width, height):
                mismatch = f"{sample.mask} ({width}x{height}, not {size[0]}x{size[1]})"
    return _Finding(unreadable, mismatch, wrong, empty)


def _problems(data: Data, findings: list[_Finding]) -> list[str]:
    """A sentence for each kind of fault."""
    total = len(data)
    problems = []
    if not total:
        problems.append("Expected samples in the data set, got none.")
    if unreadable := [text for finding in findings for text in finding.unreadable]:
        count = sum(bool(finding.unreadable) for finding in findings)
        head = f"Files of {count} of {total} samples cannot be used. " if count > 1 else ""
        problems.append(head + _sentences(unreadable))
    if sizes := [finding.sizes for finding in findings if finding.sizes]:
        kind = "annotations" if isinstance(data, DetectionData) else "masks"
        problems.append(
            f"Expected {kind} of their images' size, upright as EXIF says, got another in "
            f"{len(sizes)} of {total}: {some(sizes)}."
        )
    if isinstance(data, DetectionData) and not data.most_objects:
        problems.append("Expected boxes in the data set, got none.")
    wrong = [
        (sample.mask, finding.wrong)
        for sample, finding in zip(data.samples, findings, strict=True)
        if finding.wrong
    ]
    if wrong:
        assert isinstance(data, SegmentationData)
        problems.append(_wrong_labels(data, wrong))
    return problems


def _wrong_labels(data: SegmentationData, wrong: list[tuple[Path | None, dict[int, int]]]) -> str:
    pixels: dict[int, int] = {}
    for _, counts in wrong:
        for value, count in counts.items():
            pixels[value] = pixels.get(value, 0) + count
    most = sorted(pixels, key=lambda value: (-pixels[value], value))
    return (
        f"Expected labels among {data.values} for {len(data.facts.classes)} classes, got "
        f"{some(f'{value} in {pixels[value]:,} pixels' for value in most)}, in {len(wrong)} of "
        f"{len(data)} masks: {some(mask for mask, _ in wrong)}."
    )


def _sentences(texts: list[str]) -> str:
    more = f" And {len(texts) - 3} more." if len(texts) > 3 else ""
    return " ".join(texts[:3]) + more
