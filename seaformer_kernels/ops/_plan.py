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

MAGIC = b"SeaForm\n"
VERSION = 3  # the latest, with steps of int8; older ones are read, too
# Still written where nothing is int8, and where all is float32, so that older libraries read them.
_VERSION_OF_HALF, _VERSION_OF_FLOAT32 = 2, 1
ALIGNMENT = 64
HEADER = struct.Struct("<8sQ6I24x")
STEP = struct.Struct("<4I2Q32x")
_UNCHECKED = 20  # the magic, the length and the checksum itself


class Task(enum.IntEnum):
    """What a network is for."""

    SEGMENTATION = 1
    CLASSIFICATION = 2


@dataclasses.dataclass(frozen=True)
class Step:
    """A block of a network; step i writes map i + 1, and map 0 is the image.

    Attributes:
        packed: weights from the block's `pack_*`, which tell what it does.
        inputs: the map it reads, and for gates and segmentation heads the coarse one.
        residual: whether the input is added to the output.
    """

    packed: Tensor
    inputs: tuple[int] | tuple[int, int]
    residual: bool = False


def pack_plan(task: Task, num_classes: int, normalizes: bool, steps: Sequence[Step]) -> Tensor:
    """The uint8 buffer of a network; C++ checks that its steps fit each other.

    Args:
        task, num_classes: of the head, which is the last step.
        normalizes: whether the stem, the first step, was packed with a mean and std.
        steps: in the order in which they run.
    """
    elements = {WITH_INT8[element_at(memory_of(step.packed))] for step in steps}
    version = _VERSION_OF_FLOAT32 if elements == {torch.float32} else _VERSION_OF_HALF
    version = VERSION if torch.int8 in elements else version
    table, end = [], HEADER.size + len(steps) * STEP.size
    for step in steps:
        kind = int(step.packed[8:12].view(torch.int32))
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
        HEADER.pack_into(memory, 0, MAGIC, end, *fields)

    write_header(0)
    write_header(zlib.crc32(memory[_UNCHECKED:]))
    return plan


def last_element(plan: Tensor) -> int:
    """The code of the element type that the last step of a plan that was made here writes."""
    memory = memory_of(plan)
    steps = HEADER.unpack_from(memory)[6]
    *_, offset, _ = STEP.unpack_from(memory, HEADER.size + (steps - 1) * STEP.size)
    return element_at(memory, offset)


def task_and_head(plan: Tensor) -> tuple[Task, int]:
    """The task of a plan that was made here, and the kind of its last step."""
    memory = memory_of(plan)
    _, _, _, _, task, _, steps, _ = HEADER.unpack_from(memory)
    kind, *_ = STEP.unpack_from(memory, HEADER.size + (steps - 1) * STEP.size)
    return Task(task), kind


def element_at(memory: memoryview, offset: int = 0) -> int:
    """The code of the element type of packed weights that were made here, as they lie there."""
    version, element = struct.unpack_from("<4xi48xi", memory, offset)
    return element if _packed.has_element(version) else 0


def memory_of(plan: Tensor) -> memoryview:
    """The bytes of a buffer, where they lie: the tensor must outlive it."""
    return memoryview((ctypes.c_ubyte * len(plan)).from_address(plan.data_ptr())).cast("B")
