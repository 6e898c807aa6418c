"""Facts of the data sets that models are trained on."""

from seaformer_kernels.data.datasets import (
    ADE20K,
    CAMVID,
    CITYSCAPES,
    COCO_STUFF,
    DATASETS,
    IMAGENET_MEAN,
    IMAGENET_STD,
    PASCAL_CONTEXT_59,
    PASCAL_CONTEXT_60,
    PEOPLE,
    Dataset,
)

__all__ = [
    "ADE20K",
    "CAMVID",
    "CITYSCAPES",
    "COCO_STUFF",
    "DATASETS",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "PASCAL_CONTEXT_59",
    "PASCAL_CONTEXT_60",
    "PEOPLE",
    "Dataset",
]
