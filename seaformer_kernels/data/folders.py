"""Data sets of one's own: folders of images and masks, and folders of classes."""

from __future__ import annotations

import warnings
from pathlib import Path

from seaformer_kernels.data.datasets import Dataset, voc_colors
from seaformer_kernels.data.files import (
    MASK_SUFFIXES,
    find_folder,
    list_files,
    pair,
    pair_listed,
    read_names,
    read_splits,
    some,
)
from seaformer_kernels.data.reading import DataError, Sample

_SPLITS = ("train", "val", "test")
_MOST_CLASSES = 255  # 255 is the ignored label


def folder_facts(root: Path, classes: Path | None) -> Dataset:
    """Classes of a folder of images and masks, from classes.txt in it unless another is given.

    Raises:
        DataError: the list cannot be read, names a class twice, or more than 255.
    """
    listed = classes or root / "classes.txt"
    names = read_names(listed)
    if len(names) > _MOST_CLASSES:
        raise DataError(f"Expected up to {_MOST_CLASSES} classes in {listed}, got {len(names)}.")
    return Dataset("folder", tuple(names), voc_colors(len(names)))


def find_pairs(root: Path, split: str) -> list[Sample]:
    """Images and masks of a split.

    It is what splits.json lists, else images/SPLIT and masks/SPLIT, else SPLIT/images and
    SPLIT/masks. Where there is nothing of that, all images are of every split, with a warning.

    Raises:
        DataError: there is no such split, or images and masks do not belong together.
    """
    listed = root / "splits.json"
    if listed.exists():
        images, masks = _images(root / "images"), _masks(root / "masks")
        return pair_listed(images, masks, read_splits(listed, split), listed)
    if any((root / part / "images").is_dir() for part in _SPLITS):
        folder = find_folder(root, split)
        return pair(_images(folder / "images"), _masks(folder / "masks"), folder)
    folder = find_folder(root, "images")
    if any((folder / part).is_dir() for part in _SPLITS) or (folder / split).is_dir():
        images, masks = find_folder(folder, split), find_folder(root, f"masks/{split}")
        return pair(_images(images), _masks(masks), root)
    samples = pair(_images(folder), _masks(root / "masks"), root)
    warnings.warn(
        f"{root} has no folders images/{split} and masks/{split} and no splits.json, so that all "
        f"{len(samples)} images are taken for {split}.",
        stacklevel=3,
    )
    return samples


def _images(folder: Path):
    return list_files(find_folder(folder.parent, folder.name))


def _masks(folder: Path):
    masks = list_files(find_folder(folder.parent, folder.name), suffixes=MASK_SUFFIXES)
    if not masks and (others := list_files(folder)):
        raise DataError(
            f"Expected masks as PNG files in {folder}, which keep labels as they are, got "
            f"{some(path.name for path in others.values())}."
        )
    return masks


def find_classes(
    root: Path, split: str, classes: Path | None
) -> tuple[tuple[str, ...], list[Sample]]:
    """Names of the classes, and the images, of a folder of a split with a folder of each class.

    The order is that of the list of classes if there is one, else of the names.

    Raises:
        DataError: there is no such split, or its classes are not those listed or of train.
    """
    folder = find_folder(root, split)
    there = _folders(folder)
    if not there:
        raise DataError(
            f"Expected a folder of images for each class in {folder}, got "
            f"{'files only; sort them into such' if any(folder.iterdir()) else 'nothing'}."
        )
    train = root / "train"
    if classes is not None:
        names, of = read_names(classes), classes
    else:
        names, of = (_folders(train), train) if train.is_dir() else (there, folder)
    if wrong := sorted(set(there) ^ set(names)):
        raise DataError(
            f"Expected in {folder} the {len(names)} classes of {of}, got {len(there)}; only one of "
            f"them has {some(wrong)}."
        )
    samples = []
    for label, name in enumerate(names):
        images = list_files(folder / name)
        if not images:
            raise DataError(f"Expected images in {folder / name}, got none.")
        samples += [
            Sample(path, label=label, name=f"{name}/{stem}") for stem, path in images.items()
        ]
    return tuple(names), samples


def _folders(folder: Path) -> list[str]:
    return sorted(
        path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
