"""What is behind the maps of a detector with anchors: decoding, non-maximum suppression."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seaformer_kernels.ops import _maps
from seaformer_kernels.ops._element import ELEMENTS, listed
from seaformer_kernels.ops._library import register
from seaformer_kernels.reference import detections as reference

Decoded = tuple[Tensor, Tensor, Tensor, Tensor]  # boxes, scores, classes and counts


def _check_share(op: str, name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{op}: expected {name} from 0 to 1, got {value}")


def _fake_nms(boxes: Tensor, scores: Tensor, classes: Tensor, iou_threshold: float) -> Tensor:
    _check_nms(boxes, scores, classes, iou_threshold)
    return classes.new_empty((torch.library.get_ctx().new_dynamic_size(),))


def _check_nms(boxes: Tensor, scores: Tensor, classes: Tensor, iou_threshold: float) -> None:
    if boxes.dim() != 2 or boxes.shape[1] != 4:
        raise ValueError(
            f"batched_nms: expected boxes of shape [count, 4], got {list(boxes.shape)}"
        )
    count = boxes.shape[0]
    if scores.dim() != 1 or classes.dim() != 1 or not scores.shape[0] == classes.shape[0] == count:
        raise ValueError(
            f"batched_nms: expected scores and classes of shape [{count}], got "
            f"{list(scores.shape)} and {list(classes.shape)}"
        )
    if (boxes.dtype, scores.dtype, classes.dtype) != (torch.float32, torch.float32, torch.int64):
        raise ValueError(
            "batched_nms: expected float32 boxes and scores and int64 classes, got "
            f"{boxes.dtype}, {scores.dtype} and {classes.dtype}"
        )
    _check_share("batched_nms", "iou_threshold", iou_threshold)


def _fake_decode(
    class_maps: Sequence[Tensor],
    box_maps: Sequence[Tensor],
    anchors: Tensor,
    strides: Sequence[int],
    height: int,
    width: int,
    score_threshold: float = 0.05,
    top_k: int = 1000,
    iou_threshold: float = 0.5,
    max_detections: int = 100,
) -> Decoded:
    op = "decode_detections"
    _check_levels(op, class_maps, box_maps, anchors, strides)
    positive = {
        "height": height,
        "width": width,
        "top_k": top_k,
        "max_detections": max_detections,
    }
    for name, value in positive.items():
        _maps.check_positive(op, name, value)
    _check_share(op, "score_threshold", score_threshold)
    _check_share(op, "iou_threshold", iou_threshold)
    return empty_objects(anchors, class_maps[0].shape[0], max_detections)


def empty_objects(like: Tensor, batch: int, most: int) -> Decoded:
    """Boxes, scores, classes and counts of so many images, with nothing in them."""
    return (
        like.new_empty((batch, most, 4), dtype=torch.float32),
        like.new_empty((batch, most), dtype=torch.float32),
        like.new_empty((batch, most), dtype=torch.int64),
        like.new_empty((batch,), dtype=torch.int64),
    )


def _check_levels(
    op: str,
    class_maps: Sequence[Tensor],
    box_maps: Sequence[Tensor],
    anchors: Tensor,
    strides: Sequence[int],
) -> None:
    """Raises ValueError unless these are the maps of one detector."""
    levels = len(class_maps)
    if levels == 0 or not levels == len(box_maps) == len(strides):
        raise ValueError(
            f"{op}: expected class_maps, box_maps and strides of as many levels, at least one, got "
            f"{levels}, {len(box_maps)} and {len(strides)}"
        )
    shape = list(anchors.shape)
    if (len(shape), shape[0], shape[-1]) != (3, levels, 2) or shape[1] == 0:
        raise ValueError(
            f"{op}: expected float32 anchors of shape [{levels}, anchors, 2], got {shape}"
        )
    if anchors.dtype != torch.float32:
        raise ValueError(f"{op}: expected float32 anchors, got {anchors.dtype}")
    per_cell, first = shape[1], class_maps[0]
    for logits, deltas, stride in zip(class_maps, box_maps, strides, strict=True):
        for name, x in (("class_maps", logits), ("box_maps", deltas)):
            _maps.check_map(op, name, x)
            if x.dtype != first.dtype:
                raise ValueError(
                    f"{op}: expected maps of one type, got {first.dtype} and {x.dtype}"
                )
        same = (first.shape[0], *logits.shape[2:]) == (deltas.shape[0], *deltas.shape[2:])
        if not same or logits.shape[0] != deltas.shape[0]:
            raise ValueError(
                f"{op}: expected both maps of a level of one batch, height and width, got "
                f"{list(logits.shape)} and {list(deltas.shape)}"
            )
        channels = logits.shape[1], deltas.shape[1]
        if channels != (first.shape[1], 4 * per_cell) or channels[0] % per_cell:
            raise ValueError(
                f"{op}: expected maps with a multiple of {per_cell} and with {4 * per_cell} "
                f"channels for {per_cell} anchors, got {channels[0]} and {channels[1]}"
            )
        _maps.check_positive(op, "strides", stride)


_batched_nms = register(
    "batched_nms(Tensor boxes, Tensor scores, Tensor classes, float iou_threshold) -> Tensor",
    plain=reference.batched_nms,
    fake=_fake_nms,
)
_decode_detections = register(
    "decode_detections(Tensor[] class_maps, Tensor[] box_maps, Tensor anchors, int[] strides, "
    "SymInt height, SymInt width, float score_threshold=0.05, int top_k=1000, "
    "float iou_threshold=0.5, int max_detections=100) -> (Tensor, Tensor, Tensor, Tensor)",
    plain=reference.decode_detections,
    fake=_fake_decode,
    differentiable_output=True,
)


def batched_nms(boxes: Tensor, scores: Tensor, classes: Tensor, iou_threshold: float) -> Tensor:
    """Non-maximum suppression among the boxes of each class.

    In falling order of scores, NaN first and equal ones by their index, a box is kept unless its
    intersection over union with one kept before of its class exceeds the threshold; one that is NaN
    does not. These are the results of torchvision's function of this name, where that does not move
    the boxes of each class apart, which rounds them.

    Args:
        boxes: float32 [N, 4]: x1, y1, x2, y2 with x1 <= x2 and y1 <= y2, any N.
        scores: float32 [N].
        classes: int64 [N], any numbers.
        iou_threshold: from 0 to 1.

    Returns:
        Indices of the boxes that are kept, int64 [K], in falling order of their scores. They have
        no gradient.

    Raises:
        TypeError: an argument has a wrong type.
        ValueError: a shape, a dtype or the threshold is wrong.
    """
    tensors = {"boxes": boxes, "scores": scores, "classes": classes}
    _maps.check_types("batched_nms", tensors, {})
    for name, x in tensors.items():
        dtype = torch.int64 if name == "classes" else torch.float32
        if x.dtype != dtype:
            raise TypeError(f"batched_nms: expected {name} of {dtype}, got {x.dtype}")
    _check_number("batched_nms", "iou_threshold", iou_threshold)
    return _batched_nms(boxes, scores, classes, float(iou_threshold))


def decode_detections(
    class_maps: Sequence[Tensor],
    box_maps: Sequence[Tensor],
    anchors: Tensor,
    strides: Sequence[int],
    height: int,
    width: int,
    score_threshold: float = 0.05,
    top_k: int = 1000,
    iou_threshold: float = 0.5,
    max_detections: int = 100,
) -> Decoded:
    """The objects that the maps of a detector with anchors tell (RetinaNet, Lin et al., 2017).

    Of each level the best logits are taken whose score, their sigmoid, exceeds a threshold (of
    equal ones the lower of row, column, anchor and class); their boxes are decoded and clipped to
    the image; of all levels together those stay that `batched_nms` keeps. An anchor of width w and
    height h has its centre at (column, row) * stride; with its four numbers of the box map

        centre = anchor's centre + (dx * w, dy * h)
        size   = (w * exp(dw), h * exp(dh)), dw and dh at most log(1000 / 16)

    On the CPU a fused kernel does it, which stores no scores and no anchors.

    Args:
        class_maps: logits [B, A * C, H, W] of each level, of class c at anchor a in channel
            a * C + c; float32, float16 or bfloat16, any strides (channels_last is read where it
            lies).
        box_maps: [B, A * 4, H, W] of each level, dx, dy, dw, dh of anchor a from channel a * 4 on,
            of the same type.
        anchors: widths and heights, float32 [levels, A, 2], in pixels.
        strides: pixels of the image a side of a cell of each level.
        height, width: of the image, in pixels.
        score_threshold: from 0 to 1.
        top_k: the most boxes of a level.
        iou_threshold: as for `batched_nms`.
        max_detections: the most objects of an image.

    Returns:
        Boxes, float32 [B, max_detections, 4] as x1, y1, x2, y2; scores, float32, and classes,
        int64, both [B, max_detections], in falling order of scores, zeros behind the last; and how
        many there are, int64 [B].

    Raises:
        TypeError: an argument has a wrong type.
        ValueError: shapes, dtypes or numbers do not fit each other.
        RuntimeError: a map requires grad, and grad mode is on.
    """
    op = "decode_detections"
    for name, maps in (("class_maps", class_maps), ("box_maps", box_maps)):
        if not isinstance(maps, list | tuple) or not all(isinstance(x, Tensor) for x in maps):
            raise TypeError(f"{op}: expected {name} as a list of tensors, got {_told(maps)}")
        for x in maps:
            if x.dtype not in ELEMENTS:
                raise TypeError(f"{op}: expected {listed(ELEMENTS)} {name}, got {x.dtype}")
    if not isinstance(strides, list | tuple) or not all(isinstance(s, int) for s in strides):
        raise TypeError(f"{op}: expected strides as a list of integers, got {_told(strides)}")
    integers = {"top_k": top_k, "max_detections": max_detections}
    _maps.check_types(op, {"anchors": anchors}, integers)
    for name, side in (("height", height), ("width", width)):
        if not isinstance(side, int | torch.SymInt):
            raise TypeError(f"{op}: expected {name} as an integer, got {type(side).__name__}")
    _check_number(op, "score_threshold", score_threshold)
    _check_number(op, "iou_threshold", iou_threshold)
    return _decode_detections(
        list(class_maps),
        list(box_maps),
        anchors,
        list(strides),
        height,
        width,
        float(score_threshold),
        top_k,
        float(iou_threshold),
        max_detections,
    )


def _check_number(op: str, name: str, value: object) -> None:
    if not isinstance(value, int | float):
        raise TypeError(f"{op}: expected {name} as a number, got {type(value).__name__}")


def _told(values: object) -> str:
    if isinstance(values, list | tuple):
        return f"one of {', '.join(sorted({type(value).__name__ for value in values}))}"
    return type(values).__name__
