"""Plans: a whole network as one buffer, laid out as csrc/network/plan.h says."""

from __future__ import annotations

import ctypes
import dataclasses
import enum
import functools
import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seaformer_kernels.ops import _packed
from seaformer_kernels.ops._element import ELEMENTS, WITH_INT8
from seaformer_kernels.ops._packed import Kind
from seaformer_kernels.ops._window import Window

MAGIC = b"SeaForm\n"
VERSION = 5  # the latest, with any outputs and shared weights; older ones are read, too
# Still written so that older libraries read them: of steps of any kind with one output; and where a
# stem begins and a head ends, with int8, with half types, and where all is float32.
_VERSION_OF_STEPS, _VERSION_OF_INT8, _VERSION_OF_HALF, _VERSION_OF_FLOAT32 = 4, 3, 2, 1
ALIGNMENT = 64
HEADER = struct.Struct("<8sQ6I6f")
STEP = struct.Struct("<4I2Q32x")
OUTPUTS = struct.Struct("<5I2f36x")
_UNCHECKED = 20  # the magic, the length and the checksum itself


class Task(enum.IntEnum):
    """What a network is for."""

    SEGMENTATION = 1
    CLASSIFICATION = 2
    MAP = 3  # any other: what comes out are maps
    DETECTION = 4


@dataclasses.dataclass(frozen=True)
class Anchors:
    """What a plan says of how detections are made of its maps, as `decode_detections` takes it.

    Attributes:
        strides: pixels of the image a side of a pixel of each level.
        sizes: widths and heights [levels, anchors, 2] in pixels, float32.
        score_threshold, top_k, iou_threshold, max_detections: of programs that give none.
    """

    strides: Sequence[int]
    sizes: Tensor
    score_threshold: float = 0.05
    top_k: int = 1000
    iou_threshold: float = 0.5
    max_detections: int = 100


@dataclasses.dataclass(frozen=True)
class Step:
    """A block of a network; step i writes map i + 1, and map 0 is the image.

    Attributes:
        packed: from a `pack_*`, which tells what it does.
        inputs: the map it reads; of those that read two, such as gates, the second one, too.
        residual: whether the input is added to the output.
    """

    packed: Tensor
    inputs: tuple[int] | tuple[int, int]
    residual: bool = False


def pack_plan(
    task: Task,
    num_classes: int,
    normalizes: bool,
    steps: Sequence[Step],
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    outputs: Sequence[int] | None = None,
    anchors: Anchors | None = None,
) -> Tensor:
    """The uint8 buffer of a network; C++ checks that its steps fit each other.

    Steps whose `packed` is one tensor share its bytes.

    Args:
        task: what comes out is for: "segmentation" has labels, "classification" one pixel whatever
            the image, "detection" maps of class logits of each level, then box deltas of each.
        num_classes: channels of the first map that comes out; of detection, classes of an anchor.
        normalizes: whether images are raw values: the stem, if there is one, was packed with a mean
            and std.
        steps: in the order in which they run. A stem can be the first only; others read the image
            as a map of 3 channels.
        mean, std: of those, if the network normalizes and there are such.
        outputs: the maps that come out; the last one if there are none given.
        anchors: of detection.

    Raises:
        ValueError: there are anchors of another task, or none of detection; or mean and std are not
            three numbers each, std positive; or steps read the image as a map and there are none
            though the network normalizes.
    """
    if (task == Task.DETECTION) != (anchors is not None):
        raise ValueError(
            f"pack_plan: expected anchors of detection only, got {anchors} of {Task(task).name}"
        )
    outputs = [len(steps)] if outputs is None else list(outputs)
    version = _version(task, steps, outputs)
    numbers = [0.0] * 6
    if version >= _VERSION_OF_STEPS and normalizes:
        numbers = _normalisation(steps, mean, std)
    listed = _listed(outputs, anchors) if version == VERSION else b""
    table, end = [], HEADER.size + len(steps) * STEP.size + len(listed)
    offsets: dict[int, int] = {}  # of the packed weights so far, by identity
    for step in steps:
        offset = offsets.get(id(step.packed))
        if offset is None:
            offsets[id(step.packed)] = offset = -(-end // ALIGNMENT) * ALIGNMENT
            end = offset + len(step.packed)
        inputs = (*step.inputs, 0)[:2]
        kind = kind_of(step.packed)
        table.append((kind, *inputs, step.residual, offset, len(step.packed)))
    plan = torch.zeros(end, dtype=torch.uint8)
    for step, (*_, offset, length) in zip(steps, table, strict=True):
        plan[offset : offset + length] = step.packed
    memory = memory_of(plan)
    for number, record in enumerate(table):
        STEP.pack_into(memory, HEADER.size + number * STEP.size, *record)
    start = HEADER.size + len(steps) * STEP.size
    memory[start : start + len(listed)] = listed

    def write_header(checksum: int) -> None:
        fields = (checksum, version, task, num_classes, len(steps), normalizes)
        HEADER.pack_into(memory, 0, MAGIC, end, *fields, *numbers)

    write_header(0)
    write_header(zlib.crc32(memory[_UNCHECKED:]))
    return plan


def _listed(outputs: Sequence[int], anchors: Anchors | None) -> bytes:
    """The record of outputs and what is behind it."""
    maps = struct.pack(f"<{len(outputs)}I", *outputs)
    if anchors is None:
        return OUTPUTS.pack(len(outputs), 0, 0, 0, 0, 0.0, 0.0) + maps
    levels, count, _ = anchors.sizes.shape
    thresholds = anchors.score_threshold, anchors.iou_threshold
    record = OUTPUTS.pack(
        len(outputs), levels, count, anchors.top_k, anchors.max_detections, *thresholds
    )
    strides = struct.pack(f"<{levels}I", *anchors.strides)
    sizes = struct.pack(f"<{levels * count * 2}f", *anchors.sizes.flatten().tolist())
    return record + maps + strides + sizes


_HEADS = {
    Kind.SEGMENTATION_HEAD: Task.SEGMENTATION,
    Kind.UPSAMPLING_HEAD: Task.SEGMENTATION,
    Kind.CLASSIFICATION_HEAD: Task.CLASSIFICATION,
}
_INT8 = len(ELEMENTS)  # its code; what heads of it write is float32
_BLOCKS = (Kind.INVERTED_RESIDUAL, Kind.FUSION_GATE, Kind.SEA_ATTENTION)  # of the oldest plans


def _version(task: Task, steps: Sequence[Step], outputs: Sequence[int]) -> int:
    """The oldest format that can tell what a network is."""
    shares = len({id(step.packed) for step in steps}) < len(steps)
    if outputs != [len(steps)] or shares or task == Task.DETECTION:
        return VERSION
    first, *blocks, last = (kind_of(step.packed) for step in steps)
    if first != Kind.STEM or not set(blocks) <= set(_BLOCKS) or _HEADS.get(last) != task:
        return _VERSION_OF_STEPS
    elements = {WITH_INT8[element_at(memory_of(step.packed))] for step in steps}
    if torch.int8 in elements:
        return _VERSION_OF_INT8
    return _VERSION_OF_FLOAT32 if elements == {torch.float32} else _VERSION_OF_HALF


def _normalisation(
    steps: Sequence[Step], mean: Sequence[float] | None, std: Sequence[float] | None
) -> list[float]:
    """Means and inverse standard deviations, if steps read the image as a map."""
    if mean is None and std is None:
        if any(_reads_pixels(step) for step in steps):
            raise ValueError(
                "pack_plan: expected mean and std, as steps read the image as a map, got neither"
            )
        return [0.0] * 6
    if mean is None or std is None or len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError(
            "pack_plan: expected mean and std as three numbers each, std positive, got "
            f"{mean and list(mean)} and {std and list(std)}"
        )
    return [*mean, *(1 / value for value in std)]


def _reads_pixels(step: Step) -> bool:
    """Whether it reads the image as a map, and not as a stem or for its size."""
    kind = kind_of(step.packed)
    inputs = step.inputs[:1] if kind in (Kind.RESIZE, Kind.ADAPTIVE_POOL) else step.inputs
    return kind != Kind.STEM and 0 in inputs


def common_dtype(steps: Sequence[Step], maps: Sequence[int]) -> torch.dtype:
    """The type that PyTorch gives to what is made of these maps of steps."""
    dtypes = [
        WITH_INT8[element_at(memory_of(steps[map_ - 1].packed))] if map_ else torch.float32
        for map_ in maps
    ]
    if torch.int8 in dtypes:
        return torch.float32
    return functools.reduce(torch.promote_types, dtypes)


def kind_of(packed: Tensor) -> Kind:
    """The kind of packed weights that were made here."""
    return Kind(int(packed[8:12].view(torch.int32)))


def read_header(plan: Tensor) -> tuple[int, Task, int, int]:
    """Version, task, classes and number of steps of a plan that was made here."""
    _, _, _, version, task, classes, steps, *_ = HEADER.unpack_from(memory_of(plan))
    return version, Task(task), classes, steps


def output_maps(plan: Tensor) -> list[int]:
    """The numbers of the maps that come out of a plan that was made here."""
    version, _, _, steps = read_header(plan)
    if version < VERSION:
        return [steps]
    start = HEADER.size + steps * STEP.size
    count, *_ = OUTPUTS.unpack_from(memory_of(plan), start)
    return list(struct.unpack_from(f"<{count}I", memory_of(plan), start + OUTPUTS.size))


def last_element(plan: Tensor) -> int:
    """The code of the element type of the first map that comes out of a plan that was made here."""
    *_, offset, _ = _record(plan, output_maps(plan)[0] - 1)
    return element_at(memory_of(plan), offset)


def _record(plan: Tensor, step: int) -> tuple[int, ...]:
    return STEP.unpack_from(memory_of(plan), HEADER.size + step * STEP.size)


class Side(NamedTuple):
    """How long a side of a map is, of an image's: (side + add) // divide * times.

    Where `divide` is 0 it is `times`, whatever the image.
    """

    add: int = 0
    divide: int = 1
    times: int = 1

    def windowed(self, add: int, stride: int) -> Side | None:
        """The same of (side + add) // stride of it; None if there are no such numbers."""
        if self.divide == 0:
            return Side(0, 0, (self.times + add) // stride)
        if self.times == 1:
            return Side(self.add + add * self.divide, self.divide * stride)
        if self.times % stride == 0 and 0 <= add < stride:
            return self._replace(times=self.times // stride)
        return None


_ONE = Side(0, 0, 1)
_OF_SECOND_SIZE = (Kind.RESIZE, Kind.RESIZE_ADD, Kind.ADAPTIVE_POOL)


class OutputFacts(NamedTuple):
    """A map that comes out of a plan: its channels, the code of its element type, its size."""

    channels: int
    element: int
    rows: Side
    columns: Side


def outputs_of(plan: Tensor) -> list[OutputFacts]:
    """The maps that come out of a plan that was made here.

    Raises:
        ValueError: the size of one does not follow from the image's in a way that a `Side` tells.
    """
    memory = memory_of(plan)
    _, _, _, steps = read_header(plan)
    sides: list[tuple[Side | None, Side | None]] = [(Side(), Side())]
    facts: list[tuple[int, int]] = [(3, 0)]
    for number in range(steps):
        kind, first, second, _, offset, _ = _record(plan, number)
        header = _packed.Header(*struct.unpack_from("<13i", memory, offset + 8))
        source = sides[second if kind in _OF_SECOND_SIZE else first]
        sides.append((_side(source[0], header, 0), _side(source[1], header, 1)))
        element = element_at(memory, offset)
        heads = (Kind.SEGMENTATION_HEAD, Kind.UPSAMPLING_HEAD)
        width = header.classes if kind in heads else header.out_channels
        facts.append((width, element if kind not in heads or element < _INT8 else 0))
    found = []
    for map_ in output_maps(plan):
        rows, columns = sides[map_]
        if rows is None or columns is None:
            raise ValueError(
                "plan: expected maps whose sides are the image's, divided and rounded, times a "
                "whole number, got others"
            )
        found.append(OutputFacts(*facts[map_], rows, columns))
    return found


def scale_of(plan: Tensor) -> tuple[int, int]:
    """Downsampling and upsampling of what a plan that was made here writes.

    Of an image of H rows it has ceil(H / downsampling) * upsampling; a classifier has 0 and 1.

    Raises:
        ValueError: its size does not follow from the image's in that way.
    """
    if read_header(plan)[1] == Task.CLASSIFICATION:
        return 0, 1
    (output, *others) = outputs_of(plan)
    add, down, up = output.rows
    if others or output.rows != output.columns or down == 0 or add != down - 1:
        raise ValueError(
            "plan: expected logits whose size is the image's, divided and rounded up, times a "
            "whole number, got others"
        )
    return down, up


def _side(side: Side | None, header: _packed.Header, axis: int) -> Side | None:
    """A side of the map behind a step."""
    if header.kind in (Kind.GLOBAL_POOL, Kind.CLASSIFICATION_HEAD):
        return _ONE
    if side is None or header.kind in (Kind.RESIZE, Kind.RESIZE_ADD):
        return side
    if header.kind == Kind.UPSAMPLING_HEAD:
        return side._replace(times=side.times * 2)
    if header.kind == Kind.UPSAMPLE:
        return side._replace(times=side.times * header.stride)
    stride = 2 if header.kind == Kind.STEM else header.stride or 1
    add = stride - 1
    if header.kind in (Kind.CONVOLUTION, Kind.POOL):
        add = Window.of(header).rounding(axis)
    return side.windowed(add, stride)


def element_at(memory: memoryview, offset: int = 0) -> int:
    """The code of the element type of packed weights that were made here, as they lie there."""
    version, element = struct.unpack_from("<4xi48xi", memory, offset)
    return element if _packed.has_element(version) else 0


def memory_of(plan: Tensor) -> memoryview:
    """The bytes of a buffer, where they lie: the tensor must outlive it."""
    return memoryview((ctypes.c_ubyte * len(plan)).from_address(plan.data_ptr())).cast("B")
