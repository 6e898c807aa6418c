"""Where each published data set's files lie once it is unpacked, and what its masks' values mean.

A root may be the folder that the archive unpacks to, or the one around it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from seaformer_kernels.data import datasets
from seaformer_kernels.data.datasets import Dataset
from seaformer_kernels.data.files import (
    MASK_SUFFIXES,
    find_folder,
    list_files,
    pair,
    pair_listed,
    read_names,
    read_splits,
)
from seaformer_kernels.data.reading import IMAGE_SUFFIXES, DataError, Sample

Labels = Mapping[int, int]  # value in a mask file -> label
IGNORED = 255
TRAIN_IDS = "_labelTrainIds"

# Cityscapes' ids, of 0..33, of the classes that count.
_CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
# Ids of COCO, counted from 1, that no pixel has.
_COCO_UNUSED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)


class Found(NamedTuple):
    """A split of a data set: its files, and what the values in its masks mean."""

    samples: list[Sample]
    labels: Labels


class Layout(NamedTuple):
    """A published data set for segmentation.

    Attributes:
        facts: classes and colours.
        splits: those that have labels.
        find: the files of a split, below a root.
    """

    facts: Dataset
    splits: tuple[str, ...]
    find: Callable[[Path, str], Found]


def _same(count: int) -> Labels:
    return {label: label for label in range(count)}


def _zero_ignored(count: int) -> Labels:
    return {0: IGNORED, **{label + 1: label for label in range(count)}}


def _ade20k(root: Path, split: str) -> Found:
    part = {"train": "training", "val": "validation"}[split]
    base = find_folder(root, "images", "ADEChallengeData2016/images").parent
    images = list_files(find_folder(base, f"images/{part}"))
    masks = list_files(find_folder(base, f"annotations/{part}"), suffixes=MASK_SUFFIXES)
    return Found(pair(images, masks, base), _zero_ignored(150))


def _cityscapes(root: Path, split: str) -> Found:
    images = list_files(find_folder(root, f"leftImg8bit/{split}"), "_leftImg8bit")
    folder = find_folder(root, f"gtFine/{split}")
    if masks := list_files(folder, f"_gtFine{TRAIN_IDS}", MASK_SUFFIXES):
        return Found(pair(images, masks, root), _same(19))
    masks = list_files(folder, "_gtFine_labelIds", MASK_SUFFIXES)
    # The others of the 34 are there, and do not count.
    labels = {
        **dict.fromkeys(range(34), IGNORED),
        **{id_: i for i, id_ in enumerate(_CITYSCAPES_IDS)},
    }
    return Found(pair(images, masks, root), labels)


def _camvid(root: Path, split: str) -> Found:
    labels = {**_same(11), 11: IGNORED}
    folder = find_folder(root, f"images/{split}", f"CamVid/{split}", split)
    if folder.parent.name == "images":
        masks = find_folder(root, f"labels/{split}")
    else:
        masks = find_folder(folder.parent, f"{split}annot")
    return Found(pair(list_files(folder), list_files(masks, suffixes=MASK_SUFFIXES), root), labels)


def _people(root: Path, split: str) -> Found:
    listed = root / "splits.json"
    images = list_files(find_folder(root, "images"))
    masks = list_files(find_folder(root, "labels8"), suffixes=MASK_SUFFIXES)
    return Found(pair_listed(images, masks, read_splits(listed, split), listed), _same(8))


def _pascal_context(root: Path, split: str) -> list[Sample]:
    base = find_folder(
        root,
        "SegmentationClassContext",
        "VOC2010/SegmentationClassContext",
        "VOCdevkit/VOC2010/SegmentationClassContext",
    ).parent
    listed = base / f"ImageSets/SegmentationContext/{split}.txt"
    images = list_files(find_folder(base, "JPEGImages"))
    masks = list_files(base / "SegmentationClassContext", suffixes=MASK_SUFFIXES)
    return pair_listed(images, masks, read_names(listed), listed)


def _pascal_context_59(root: Path, split: str) -> Found:
    return Found(_pascal_context(root, split), _zero_ignored(59))


def _pascal_context_60(root: Path, split: str) -> Found:
    return Found(_pascal_context(root, split), _same(60))


def _coco_ids(first: int) -> Labels:
    """Labels of COCO's ids, things and stuff, where its id 1 is written as `first`."""
    ids = [id_ for id_ in range(1, 183) if id_ not in _COCO_UNUSED]
    return {id_ - 1 + first: label for label, id_ in enumerate(ids)}


def _coco_stuff(root: Path, split: str) -> Found:
    part = f"{split}2017"
    images = list_files(find_folder(root, f"images/{part}", part))
    folder = find_folder(
        root, *(f"{name}/{part}" for name in ("annotations", "stuffthingmaps")),
        f"stuffthingmaps_trainval2017/{part}",
    )  # fmt: skip
    if masks := list_files(folder, TRAIN_IDS, MASK_SUFFIXES):
        return Found(pair(images, masks, root), _same(171))
    masks = list_files(folder, suffixes=MASK_SUFFIXES)
    return Found(pair(images, masks, root), _coco_ids(first=0))


def _coco_stuff10k(root: Path, split: str) -> Found:
    part = {"train": "train2014", "val": "test2014", "test": "test2014"}[split]
    images, masks = find_folder(root, "images"), find_folder(root, "annotations")
    # In its first release zero is unlabelled.
    labels = {0: IGNORED, **_coco_ids(first=1)}
    if (images / part).is_dir():
        pictures, folder = list_files(images / part), find_folder(masks, part)
        if found := list_files(folder, TRAIN_IDS, MASK_SUFFIXES):
            return Found(pair(pictures, found, root), _same(171))
        return Found(pair(pictures, list_files(folder, suffixes={".png", ".mat"}), root), labels)
    listed = root / f"imageLists/{part.removesuffix('2014')}.txt"
    return Found(
        pair_listed(
            list_files(images, suffixes=IMAGE_SUFFIXES),
            list_files(masks, suffixes={".png", ".mat"}),
            read_names(listed),
            listed,
        ),
        labels,
    )


LAYOUTS = {
    "ade20k": Layout(datasets.ADE20K, ("train", "val"), _ade20k),
    "cityscapes": Layout(datasets.CITYSCAPES, ("train", "val", "test"), _cityscapes),
    "camvid": Layout(datasets.CAMVID, ("train", "val", "test"), _camvid),
    "people": Layout(datasets.PEOPLE, ("train", "val", "test"), _people),
    "pascal_context_59": Layout(datasets.PASCAL_CONTEXT_59, ("train", "val"), _pascal_context_59),
    "pascal_context_60": Layout(datasets.PASCAL_CONTEXT_60, ("train", "val"), _pascal_context_60),
    "coco_stuff": Layout(datasets.COCO_STUFF, ("train", "val"), _coco_stuff),
    "coco_stuff10k": Layout(datasets.COCO_STUFF, ("train", "val", "test"), _coco_stuff10k),
}


def find_published(name: str, root: Path, split: str) -> Found:
    """The files of a published data set.

    Raises:
        DataError: it has no such split, or its files are not where they should be.
    """
    layout = LAYOUTS[name]
    if split not in layout.splits:
        raise DataError(
            f"Expected a split among {', '.join(layout.splits)}, those of {name} that have labels, "
            f"got {split!r}."
        )
    return layout.find(root, split)
