"""Plans: a whole network as one buffer, laid out as csrc/network/plan.h says."""

from __future__ import annotations

import ctypes
import dataclasses
import enum
import struct
import zlib
from collections.abc import Sequence

import torch
from torch import Tensor

from seaformer_kernels.ops import _packed
from seaformer_kernels.ops._element import WITH_INT8
from seaformer_kernels.ops._packed import Kind
from seaformer_kernels.ops._window import Window

MAGIC = b"SeaForm\n"
VERSION = 4  # the latest, with steps of any kind; older ones are read, too
# Still written where a stem begins and a head ends, so that older libraries read them: with int8,
# with half types, and where all is float32.
_VERSION_OF_INT8, _VERSION_OF_HALF, _VERSION_OF_FLOAT32 = 3, 2, 1
ALIGNMENT = 64
HEADER = struct.Struct("<8sQ6I6f")
STEP = struct.Struct("<4I2Q32x")
_UNCHECKED = 20  # the magic, the length and the checksum itself


class Task(enum.IntEnum):
    """What a network is for."""

    SEGMENTATION = 1
    CLASSIFICATION = 2
    MAP = 3  # any other: what comes out is a map


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
) -> Tensor:
    """The uint8 buffer of a network; C++ checks that its steps fit each other.

    Args:
        task: what the last step's map is for: "segmentation" has labels, "classification" one
            pixel whatever the image.
        num_classes: channels of that map.
        normalizes: whether images are raw values: the stem, if there is one, was packed with a mean
            and std.
        steps: in the order in which they run. A stem can be the first only; others read the image
            as a map of 3 channels.
        mean, std: of those, if the network normalizes and there are such.

    Raises:
        ValueError: mean and std are not three numbers each, std positive; or steps read the image
            as a map and there are none though the network normalizes.
    """
    version = _version(task, steps)
    numbers = [0.0] * 6
    if version == VERSION and normalizes:
        numbers = _normalisation(steps, mean, std)
    table, end = [], HEADER.size + len(steps) * STEP.size
    for step in steps:
        kind = kind_of(step.packed)
        offset = -(-end // ALIGNMENT) * ALIGNMENT
        end = offset + len(step.packed)
        inputs = (*step.inputs, 0)[:2]
        table.append((kind, *inputs, step.residual, offset, len(step.packed)))
    plan = torch.zeros(end, dtype=torch.uint8)
    for step, (*_, offset, length) in zip(steps, table, strict=True):
        plan[offset : offset + length] = step.packed
    memory = memory_of(plan)
    for number, record in enumerate(table):
        STEP.pack_into(memory, HEADER.size + number * STEP.size, *record)

    def write_header(checksum: int) -> None:
        fields = (checksum, version, task, num_classes, len(steps), normalizes)
        HEADER.pack_into(memory, 0, MAGIC, end, *fields, *numbers)

    write_header(0)
    write_header(zlib.crc32(memory[_UNCHECKED:]))
    return plan


_HEADS = {
    Kind.SEGMENTATION_HEAD: Task.SEGMENTATION,
    Kind.UPSAMPLING_HEAD: Task.SEGMENTATION,
    Kind.CLASSIFICATION_HEAD: Task.CLASSIFICATION,
}
_BLOCKS = (Kind.INVERTED_RESIDUAL, Kind.FUSION_GATE, Kind.SEA_ATTENTION)  # of the oldest plans


def _version(task: Task, steps: Sequence[Step]) -> int:
    """The oldest format that can tell what a network is."""
    first, *blocks, last = (kind_of(step.packed) for step in steps)
    if first != Kind.STEM or not set(blocks) <= set(_BLOCKS) or _HEADS.get(last) != task:
        return VERSION
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
    inputs = step.inputs[:1] if kind == Kind.RESIZE else step.inputs
    return kind != Kind.STEM and 0 in inputs


def kind_of(packed: Tensor) -> Kind:
    """The kind of packed weights that were made here."""
    return Kind(int(packed[8:12].view(torch.int32)))


def last_element(plan: Tensor) -> int:
    """The code of the element type that the last step of a plan that was made here writes."""
    memory = memory_of(plan)
    steps = HEADER.unpack_from(memory)[6]
    *_, offset, _ = STEP.unpack_from(memory, HEADER.size + (steps - 1) * STEP.size)
    return element_at(memory, offset)


def task_and_head(plan: Tensor) -> tuple[Task, int]:
    """The task of a plan that was made here, and the kind of its last step."""
    memory = memory_of(plan)
    _, _, _, _, task, _, steps, _, *_ = HEADER.unpack_from(memory)
    kind, *_ = STEP.unpack_from(memory, HEADER.size + (steps - 1) * STEP.size)
    return Task(task), kind


def scale_of(plan: Tensor) -> tuple[int, int]:
    """Downsampling and upsampling of what a plan that was made here writes.

    Of an image of H rows it has ceil(H / downsampling) * upsampling; a classifier has 0 and 1.

    Raises:
        ValueError: its size does not follow from the image's in that way.
    """
    task, _ = task_and_head(plan)
    if task == Task.CLASSIFICATION:
        return 0, 1
    memory = memory_of(plan)
    scales: list[tuple[int, int] | None] = [(1, 1)]
    for number in range(HEADER.unpack_from(memory)[6]):
        record = STEP.unpack_from(memory, HEADER.size + number * STEP.size)
        kind, first, second, _, offset, _ = record
        source = scales[second if kind == Kind.RESIZE else first]
        fields = struct.unpack_from("<13i", memory, offset + 8)  # as far as the element type
        scales.append(source and _scaled(source, _packed.Header(*fields)))
    if scales[-1] is None:
        raise ValueError(
            "plan: expected logits whose size is the image's, divided and rounded up, times a "
            "whole number, got others"
        )
    return scales[-1]


def _scaled(scale: tuple[int, int], header: _packed.Header) -> tuple[int, int] | None:
    """Downsampling and upsampling behind a step; None where they do not tell the size."""
    down, up = scale
    if header.kind in (Kind.GLOBAL_POOL, Kind.CLASSIFICATION_HEAD):
        return None
    if header.kind in (Kind.UPSAMPLING_HEAD, Kind.UPSAMPLE):
        return down, up * (header.stride if header.kind == Kind.UPSAMPLE else 2)
    if header.kind in (Kind.CONVOLUTION, Kind.POOL) and not Window.of(header).keeps_size():
        return None
    stride = 2 if header.kind == Kind.STEM else header.stride or 1
    if up % stride == 0:
        return down, up // stride
    return (down * stride, 1) if up == 1 else None


def element_at(memory: memoryview, offset: int = 0) -> int:
    """The code of the element type of packed weights that were made here, as they lie there."""
    version, element = struct.unpack_from("<4xi48xi", memory, offset)
    return element if _packed.has_element(version) else 0


def memory_of(plan: Tensor) -> memoryview:
    """The bytes of a buffer, where they lie: the tensor must outlive it."""
    return memoryview((ctypes.c_ubyte * len(plan)).from_address(plan.data_ptr())).cast("B")
