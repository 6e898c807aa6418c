"""A whole network in one call, in memory that is planned ahead and kept between calls."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seaformer_kernels import _extension
from seaformer_kernels.ops import _maps, _plan
from seaformer_kernels.ops._element import WITH_INT8, code_of
from seaformer_kernels.ops._label_size import Size, check_size, is_traced, read_size
from seaformer_kernels.ops._library import register
from seaformer_kernels.ops.detections import Decoded, empty_objects
from seaformer_kernels.reference.upsample_argmax import label_dtype, upsample_argmax

DOWNSAMPLING = 8  # of the map that a segmentation network's head reads


def scale_of(plan: Tensor) -> tuple[int, int]:
    """The downsampling and upsampling that `network_logits` takes, of a plan of `pack_plan`.

    Raises:
        ValueError: no such numbers tell the size of its logits.
    """
    return _plan.scale_of(plan)


def outputs_of(plan: Tensor) -> tuple[int, ...]:
    """What `network_maps` takes as `outputs`, of a plan of `pack_plan`.

    Raises:
        ValueError: the size of a map does not follow from the image's as it has to.
    """
    return tuple(
        number
        for output in _plan.outputs_of(plan)
        for number in (output.channels, output.element, *output.rows, *output.columns)
    )


def task_of(plan: Tensor) -> _plan.Task:
    """What a plan of `pack_plan` is for."""
    return _plan.read_header(plan)[1]


def dtype_of(plan: Tensor) -> torch.dtype:
    """The type of the logits of a plan of `pack_plan`."""
    dtype = WITH_INT8[_plan.last_element(plan)]
    return torch.float32 if dtype == torch.int8 else dtype


_OUTPUT = 8  # numbers of a map in `outputs`


def _check(op: str, image: Tensor, plan: Tensor, num_classes: int = 1) -> None:
    _maps.check_image(op, image)
    if plan.dtype != torch.uint8 or plan.dim() != 1 or not plan.is_contiguous():
        raise ValueError(
            f"{op}: expected plan as a contiguous one-dimensional uint8 tensor, got shape "
            f"{list(plan.shape)} of {plan.dtype}"
        )
    _maps.check_positive(op, "num_classes", num_classes)


def _fake_logits(
    image: Tensor,
    plan: Tensor,
    num_classes: int,
    downsampling: int,
    upsampling: int = 1,
    dtype: torch.dtype | None = None,
) -> Tensor:
    _check("network_logits", image, plan, num_classes)
    dtype = dtype or torch.float32
    code_of("network_logits", dtype)
    _maps.check_positive("network_logits", "upsampling", upsampling)
    if downsampling < 0:
        raise ValueError(
            f"network_logits: expected downsampling not to be negative, got {downsampling}"
        )
    batch, _, height, width = image.shape
    if downsampling == 0:
        return image.new_empty((batch, num_classes), dtype=dtype)
    height, width = (
        (side + downsampling - 1) // downsampling * upsampling for side in (height, width)
    )
    return _maps.empty_map(image, batch, num_classes, height, width, dtype=dtype)


def _fake_maps(image: Tensor, plan: Tensor, outputs: Sequence[int]) -> list[Tensor]:
    _check("network_maps", image, plan)
    if not outputs or len(outputs) % _OUTPUT:
        raise ValueError(
            f"network_maps: expected outputs as {_OUTPUT} numbers of each map, got {len(outputs)}"
        )
    batch, _, *image_sides = image.shape
    maps = []
    for first in range(0, len(outputs), _OUTPUT):
        channels, element, *numbers = outputs[first : first + _OUTPUT]
        if not 0 <= element < len(WITH_INT8):
            raise ValueError(
                f"network_maps: expected elements of 0 to {len(WITH_INT8) - 1}, got {element}"
            )
        axes = (_plan.Side(*numbers[:3]), _plan.Side(*numbers[3:]))
        if channels < 1 or any(axis.divide < 0 or axis.times < 1 for axis in axes):
            raise ValueError(
                f"network_maps: expected outputs of positive sizes, got {list(outputs)}"
            )
        height, width = (
            (side + axis.add) // axis.divide * axis.times if axis.divide else axis.times
            for side, axis in zip(image_sides, axes, strict=True)
        )
        dtype = WITH_INT8[element]
        maps.append(_maps.empty_map(image, batch, channels, height, width, dtype=dtype))
    return maps


def _fake_labels(image: Tensor, plan: Tensor, num_classes: int, size: Sequence[int]) -> Tensor:
    _check("network_labels", image, plan, num_classes)
    check_size("network_labels", size)
    return image.new_empty((image.shape[0], *size), dtype=label_dtype(num_classes))


def _fake_detections(
    image: Tensor,
    plan: Tensor,
    num_classes: int,
    size: Sequence[int],
    score_threshold: float,
    top_k: int,
    iou_threshold: float,
    max_detections: int,
) -> Decoded:
    op = "network_detections"
    _check(op, image, plan, num_classes)
    check_size(op, size)
    _maps.check_positive(op, "max_detections", max_detections)
    return empty_objects(image, image.shape[0], max_detections)


def _plain(image: Tensor, *_: object) -> Tensor:
    raise RuntimeError(
        "A whole network in one op needs the native extension and images on the CPU, got images on "
        f"{image.device} and {_extension.reason or 'the extension'}; optimize without whole_graph "
        "makes a model that runs without."
    )


_network_logits = register(
    "network_logits(Tensor image, Tensor plan, int num_classes, int downsampling, "
    "int upsampling=1, ScalarType? dtype=None) -> Tensor",
    plain=_plain,
    fake=_fake_logits,
    differentiable_output=True,
    needs_extension=True,
)
_network_labels = register(
    "network_labels(Tensor image, Tensor plan, int num_classes, SymInt[2] size) -> Tensor",
    plain=_plain,
    fake=_fake_labels,
    needs_extension=True,
)


_network_maps = register(
    "network_maps(Tensor image, Tensor plan, int[] outputs) -> Tensor[]",
    plain=_plain,
    fake=_fake_maps,
    differentiable_output=True,
    needs_extension=True,
)


_network_detections = register(
    "network_detections(Tensor image, Tensor plan, int num_classes, SymInt[2] size, float "
    "score_threshold, int top_k, float iou_threshold, int max_detections) -> (Tensor, Tensor, "
    "Tensor, Tensor)",
    plain=_plain,
    fake=_fake_detections,
    needs_extension=True,
)


def network_logits(
    image: Tensor,
    plan: Tensor,
    num_classes: int,
    downsampling: int,
    upsampling: int = 1,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """The logits of a whole network, bit for bit those of its blocks called one by one.

    Maps and workspaces share one block of memory, which is kept for the next call: see
    `release_memory`. There is no gradient, and no form of it in plain PyTorch.

    Args:
        image: [B, 3, H, W] on the CPU, any batch, H and W from 1, any strides; float32, or uint8 if
            the plan normalises. One of float16 is converted to float32 first.
        plan: from `optimize(..., whole_graph=True)`; its numbers are checked in every call, its
            checksum is not.
        num_classes: of the plan.
        downsampling: pixels of the image a side of a pixel of the map that the head reads, 8 in
            SeaFormer; 0 for a classification network.
        upsampling: pixels of the logits a side of a pixel of that map, 2 for a head that upsamples.
        dtype: of the logits, that of the plan's last step.

    Returns:
        [B, num_classes, h, w], channels_last, with h = ceil(H / downsampling) * upsampling
        and w likewise; or [B, num_classes].

    Raises:
        TypeError: an argument has a wrong type, or image is none of float32, float16, bfloat16
            and uint8.
        ValueError: a shape is wrong, or plan is damaged or not for this call.
        RuntimeError: image requires grad, and grad mode is on; or the extension is missing.
    """
    _maps.check_image_call(
        "network_logits",
        image,
        {"plan": plan},
        num_classes=num_classes,
        downsampling=downsampling,
        upsampling=upsampling,
    )
    return _network_logits(image, plan, num_classes, downsampling, upsampling, dtype)


def network_maps(image: Tensor, plan: Tensor, outputs: Sequence[int]) -> list[Tensor]:
    """The maps that come out of a whole network, in one call as `network_logits`.

    Args:
        image, plan: as for `network_logits`.
        outputs: of each map its channels, the code of its type (0 float32, 1 float16, 2 bfloat16, 3
            int8), and three numbers each of its height and of its width, which are
            `(side + add) // divide * times` of the image's, or `times` where `divide` is 0.

    Returns:
        Maps [B, channels, h, w], channels_last.

    Raises:
        TypeError, ValueError, RuntimeError: as `network_logits`.
    """
    _maps.check_image_call("network_maps", image, {"plan": plan})
    return list(_network_maps(image, plan, list(outputs)))


def network_labels(image: Tensor, plan: Tensor, num_classes: int, size: Size) -> Tensor:
    """The labels of a whole segmentation network, `upsample_argmax(network_logits(...), size)`.

    Args:
        image, plan, num_classes: as for `network_logits`.
        size: of the labels, as for `upsample_argmax`.

    Returns:
        Labels `[B, *size]`, contiguous; uint8 for at most 256 classes, else int32. They have no
        gradient.

    Raises:
        TypeError, ValueError, RuntimeError: as `network_logits`, but for gradients.
    """
    _maps.check_image_call("network_labels", image, {"plan": plan}, num_classes=num_classes)
    sides = read_size("network_labels", size)
    if is_traced(sides):  # an op would keep the size of the trace
        logits = _network_logits(image, plan, num_classes, *scale_of(plan), dtype_of(plan))
        return upsample_argmax(logits, sides)
    return _network_labels(image, plan, num_classes, sides)


def network_detections(
    image: Tensor,
    plan: Tensor,
    num_classes: int,
    size: Size,
    score_threshold: float = 0.05,
    top_k: int = 1000,
    iou_threshold: float = 0.5,
    max_detections: int = 100,
) -> Decoded:
    """The objects that a whole detector finds, without its maps.

    Args:
        image, plan, num_classes: as for `network_logits`.
        size: height and width that boxes are clipped to, such as those of the image.
        score_threshold, top_k, iou_threshold: as for `decode_detections`.
        max_detections: likewise, up to 65536.

    Returns:
        Boxes [B, max_detections, 4], scores, classes and counts as of `decode_detections`. They
        have no gradient.

    Raises:
        TypeError, ValueError, RuntimeError: as `network_logits`, but for gradients; or the plan is
            of another task.
    """
    op = "network_detections"
    _maps.check_image_call(op, image, {"plan": plan}, num_classes=num_classes, top_k=top_k)
    sides = read_size(op, size)
    thresholds = float(score_threshold), top_k, float(iou_threshold), max_detections
    return _network_detections(image, plan, num_classes, sides, *thresholds)


def release_memory() -> int:
    """Gives memory that whole networks keep for their next call back to the system.

    As many blocks are kept as calls ever ran at once, each of the size of the largest image that it
    was used for. Calls that are running keep theirs.

    Returns:
        How many bytes it was.
    """
    return _extension.module.release_arenas() if _extension.module else 0
