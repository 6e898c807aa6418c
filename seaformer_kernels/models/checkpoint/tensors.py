"""Tensors as torch's pickles describe them; their numbers stay in the file until asked for.

So what a file claims costs no memory, and of a checkpoint with an optimizer only weights are read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from seaformer_kernels.models.checkpoint.pickle_reader import Global, NotPure

_MOST_DIMENSIONS = 64
_DTYPES = {f"torch.{n}": d for n, d in vars(torch).items() if isinstance(d, torch.dtype)}
_STORAGES = {
    "BFloat16Storage": torch.bfloat16,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ComplexDoubleStorage": torch.complex128,
    "ComplexFloatStorage": torch.complex64,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "QInt32Storage": torch.qint32,
    "QInt8Storage": torch.qint8,
    "QUInt8Storage": torch.quint8,
    "ShortStorage": torch.int16,
    "UntypedStorage": torch.uint8,
}


class Records(Protocol):
    """The storages of a file."""

    def read(self, key: object, start: int, length: int) -> bytearray:
        """Bytes [start, start + length) of a storage; ValueError if it lacks them."""


@dataclass(frozen=True, eq=False)
class Storage:
    """A row of numbers in a file: from element `start` of the record named `key`."""

    records: Records
    key: object
    dtype: torch.dtype
    start: int = 0


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor that may still be in its file.

    Attributes:
        shape: its sizes.
        dtype: its type.
        oddity: what keeps it from being a weight, such as "torch.sparse_coo"; "" for nothing.
        read: its values, on the CPU; raises any Exception where the file does not hold them.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    oddity: str
    read: Callable[[], Tensor]


def storage_of(identity: object, records: Records) -> Storage:
    """The storage that a persistent id of torch names; raises NotPure if it names none."""
    match identity:
        case ("storage", Global() as kind, key, _, _):
            view = None
        case ("storage", Global() as kind, key, _, _, view):
            pass
        case _:
            raise NotPure
    dtype = _STORAGES.get(kind.name.rpartition(".")[2])
    if dtype is None or not kind.name.startswith("torch.") or not isinstance(key, str | int):
        raise NotPure
    match view:
        case None:
            return Storage(records, key, dtype)
        case (_, int() as start, _) if start >= 0:
            return Storage(records, key, dtype, start)
    raise NotPure


def view(storage: Storage, dtype: torch.dtype, offset: int, shape: object, stride: object):
    """A tensor over a storage; raises NotPure for sizes that no tensor has."""
    numbers = (offset, *_sizes(shape), *_sizes(stride))
    if len(shape) != len(stride) or not all(_is_size(number) for number in numbers):
        raise NotPure
    shape, stride = tuple(shape), tuple(stride)
    return StoredTensor(
        shape, dtype, "", partial(_read_view, storage, dtype, offset, shape, stride)
    )


def _read_view(
    storage: Storage, dtype: torch.dtype, offset: int, shape: tuple[int, ...], stride: tuple
) -> Tensor:
    if 0 in shape:
        return torch.empty(shape, dtype=dtype)
    size = dtype.itemsize
    span = 1 + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    # In units of the storage's own type, as torch counts old views.
    start = storage.start * storage.dtype.itemsize + offset * size
    data = storage.records.read(storage.key, start, span * size)
    tensor = torch.frombuffer(data, dtype=dtype).as_strided(shape, stride)
    # A copy lets go of the gaps of a sparse view, which may be as long as the file.
    return tensor if tensor.numel() == span else tensor.clone()


def _is_size(number: object) -> bool:
    return type(number) is int and 0 <= number < 2**63


def _sizes(sizes: object) -> tuple | list:
    if not isinstance(sizes, tuple | list) or len(sizes) > _MOST_DIMENSIONS:
        raise NotPure
    return sizes


def _odd(dtype: torch.dtype, shape: object, oddity: str) -> StoredTensor:
    if not all(_is_size(size) for size in _sizes(shape)):
        raise NotPure

    def read() -> Tensor:
        raise ValueError(f"a tensor is {oddity}")

    return StoredTensor(tuple(shape), dtype, oddity, read)


# Each takes the arguments of torch's function of that name, of any version.


def _rebuild_tensor(arguments: tuple) -> StoredTensor:
    match arguments:
        case (Storage() as storage, offset, shape, stride, *rest):
            if len(rest) > 2 and rest[2]:  # conjugated or negated when it is used
                return _odd(storage.dtype, shape, "a lazy conjugate")
            return view(storage, storage.dtype, offset, shape, stride)
    raise NotPure


def _rebuild_tensor_with_dtype(arguments: tuple) -> StoredTensor:
    match arguments:
        case (Storage() as storage, offset, shape, stride, _, _, Global() as kind, *rest):
            if kind.name not in _DTYPES:
                raise NotPure
            if rest and rest[0]:
                return _odd(_DTYPES[kind.name], shape, "a lazy conjugate")
            return view(storage, _DTYPES[kind.name], offset, shape, stride)
    raise NotPure


def _rebuild_quantized(arguments: tuple) -> StoredTensor:
    match arguments:
        case (Storage() as storage, _, shape, *_):
            return _odd(storage.dtype, shape, "quantized")
    raise NotPure


def _rebuild_sparse(arguments: tuple) -> StoredTensor:
    match arguments:
        case (str() as layout, (_, _, StoredTensor() as values, shape, *_)):
            return _odd(values.dtype, shape, layout)
        case (str() as layout, (StoredTensor(), StoredTensor() as values, shape, *_)):
            return _odd(values.dtype, shape, layout)
    raise NotPure


def _rebuild_meta(arguments: tuple) -> StoredTensor:
    match arguments:
        case (Global() as kind, shape, *_) if kind.name in _DTYPES:
            return _odd(_DTYPES[kind.name], shape, "on the meta device")
    raise NotPure


def _wrapped(arguments: tuple) -> StoredTensor:
    """The tensor that the first argument is: of a parameter, or one brought from a device."""
    match arguments:
        case (StoredTensor() as tensor, *_):
            return tensor
    raise NotPure


def _rebuild_subclass(arguments: tuple) -> StoredTensor:
    match arguments:
        case (Global() as function, _, tuple() as inner, *_) if function.name in _TENSORS:
            return _TENSORS[function.name](inner)
    raise NotPure


def _first(arguments: tuple) -> object:
    """The only argument that matters, as it is."""
    if not arguments:
        raise NotPure
    return arguments[0]


_TENSORS = {
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_with_dtype,
    "torch._utils._rebuild_qtensor": _rebuild_quantized,
    "torch._utils._rebuild_sparse_tensor": _rebuild_sparse,
    "torch._utils._rebuild_meta_tensor_no_storage": _rebuild_meta,
    "torch._utils._rebuild_parameter": _wrapped,
    "torch._utils._rebuild_parameter_with_state": _wrapped,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _wrapped,
    "torch.nn.parameter.Parameter": _wrapped,
    "torch.nn.parameter.Buffer": _wrapped,
}
# What torch's pickles call, as functions that only describe.
CALLS = {
    **_TENSORS,
    "torch._tensor._rebuild_from_type_v2": _rebuild_subclass,
    "torch.Size": _first,
    "torch.device": lambda arguments: arguments,
    "torch.serialization._get_layout": _first,
    "_codecs.encode": _first,  # bytes, as text of their codes
    "builtins.bytearray": _first,
}
