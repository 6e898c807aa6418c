"""Models by name."""

from typing import Any

from seaformer_kernels.models.classifier import SeaFormerClassifier
from seaformer_kernels.models.config import FAMILY
from seaformer_kernels.models.detector import SeaFormerDetector
from seaformer_kernels.models.segmenter import SeaFormerSegmenter

TASKS = {
    "segmentation": SeaFormerSegmenter,
    "classification": SeaFormerClassifier,
    "detection": SeaFormerDetector,
}


def list_models() -> list[str]:
    """The names `create_model` knows, smallest model first."""
    return list(FAMILY)


def create_model(
    name: str,
    task: str = "segmentation",
    num_classes: int | None = None,
    upsample: bool = False,
    head: str | None = None,
) -> SeaFormerSegmenter | SeaFormerClassifier | SeaFormerDetector:
    """A freshly initialised model of the family, in eval mode; call ``.train()`` to train it.

    Weights come from torch's global random generator, so `torch.manual_seed` repeats them.

    Args:
        name: one of `list_models()`.
        task: "segmentation", "classification" or "detection".
        num_classes: number of classes; 150 for segmentation (ADE20K), 1000 for classification
            (ImageNet-1K) and 80 for detection (COCO) if None.
        upsample: for segmentation, a head that lifts its map to twice the size: logits at 1/4 of
            the image, for a model that reads it at half the resolution it is to be labelled at
            (`predict(image, size)`), as the students of distillation do.
        head: for detection, "retina" (None is that, too), or "light" for small processors.

    Raises:
        ValueError: name, task or head is unknown, or num_classes is not a positive integer, or
            upsample or head is asked of another task.
    """
    if name not in FAMILY:
        raise ValueError(f"Expected a model name among {', '.join(FAMILY)}, got {name!r}.")
    if task not in TASKS:
        raise ValueError(f"Expected a task among {', '.join(TASKS)}, got {task!r}.")
    options: dict[str, Any] = {}
    if num_classes is not None:
        if not isinstance(num_classes, int) or num_classes < 1:
            raise ValueError(f"Expected num_classes as a positive integer, got {num_classes!r}.")
        options["num_classes"] = num_classes
    if upsample:
        if task != "segmentation":
            raise ValueError(f"Expected upsample for segmentation only, got it for {task}.")
        options["upsample"] = True
    if head is not None:
        if task != "detection":
            raise ValueError(f"Expected head for detection only, got {head!r} for {task}.")
        options["head"] = head
    return TASKS[task](FAMILY[name], **options).eval()
