"""Data sets by name, from where they lie on disk."""

from __future__ import annotations

from pathlib import Path

from seaformer_kernels.data.checking import check
from seaformer_kernels.data.classification import ClassificationData
from seaformer_kernels.data.coco import find_coco, read_coco
from seaformer_kernels.data.detection import DetectionData
from seaformer_kernels.data.folders import find_classes, find_pairs, folder_facts
from seaformer_kernels.data.layouts import LAYOUTS, find_published
from seaformer_kernels.data.reading import DataError
from seaformer_kernels.data.segmentation import SegmentationData

__all__ = ["LAYOUT_NAMES", "check", "open_data"]

LAYOUT_NAMES = (*LAYOUTS, "imagenet", "coco", "folder")


def open_data(
    name: str, root: Path | str, split: str, classes: Path | str | None = None
) -> SegmentationData | ClassificationData | DetectionData:
    """A split of a data set, in the layout that it has once it is downloaded and unpacked.

    Lists files and opens none but annotations; `check` does that.

    Args:
        name: a key of `DATASETS`, "coco_stuff10k", "imagenet" (folders of a split with a folder of
            each class), "coco" (boxes in COCO's format), or "folder" (images/ and masks/).
        root: folder of the data set.
        split: "train", "val" or "test".
        classes: text file with the names of the classes, one a line, in the order of the labels;
            for "folder", where None stands for classes.txt in the root, and "imagenet", where it
            stands for the folders' names in order.

    Returns:
        Images with masks, with classes for "imagenet", or with boxes for "coco".

    Raises:
        DataError: the name is unknown, the files are not where they should be, images and masks do
            not belong together, annotations are not right, or the classes are not as listed.
    """
    root = Path(root)
    classes = Path(classes) if classes is not None else None
    if name not in LAYOUT_NAMES:
        raise DataError(f"Expected a data set among {', '.join(LAYOUT_NAMES)}, got {name!r}.")
    if name == "imagenet":
        return ClassificationData(*find_classes(root, split, classes))
    if name == "folder":
        return SegmentationData(folder_facts(root, classes), find_pairs(root, split))
    if classes is not None:
        raise DataError(f"Expected no list of classes for {name}, whose classes are known.")
    if name == "coco":
        return read_coco(*find_coco(root, split))
    samples, labels = find_published(name, root, split)
    return SegmentationData(LAYOUTS[name].facts, samples, labels)
