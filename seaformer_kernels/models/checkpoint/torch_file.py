"""The files of torch.save: zip archives, streams of pickles, and the tar archives before those.

Each class gives the storages of one format.
"""

import io
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from dataclasses import replace
from typing import BinaryIO

from seaformer_kernels.models.checkpoint.pickle_reader import Global, NotPure, PickleReader
from seaformer_kernels.models.checkpoint.tensors import CALLS, Storage, storage_of, view

_MAGIC = 0x1950A86A20F9469CFC6C
_MOST_INFLATED = 2**28  # bytes at once, where a small compressed file may hold any number
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")


def read_zip(file: BinaryIO, archive: zipfile.ZipFile, folder: str) -> tuple[object, Counter[str]]:
    """Content of a zipped file whose records lie in a folder ending in "/", and what it skips."""
    records = _ZipRecords(file, archive, folder)
    reader = PickleReader(CALLS, lambda identity: storage_of(identity, records))
    return reader.read(io.BytesIO(records.pickle())), reader.skipped


def read_tar(file: BinaryIO, archive: tarfile.TarFile) -> tuple[object, Counter[str]]:
    """Content of a tar archive with the members storages, tensors and pickle."""
    records = _TarRecords(file, archive)
    reader = PickleReader(CALLS, records.tensor)
    return reader.read(records.member("pickle")), reader.skipped


def read_stream(file: BinaryIO, nested: bool = True) -> tuple[object, Counter[str]]:
    """Content of a stream of pickles, or of one plain pickle.

    Args:
        file: at its start.
        nested: whether pickled storages, files of this format in themselves, are read.
    """
    records = _StreamRecords(file)
    calls = CALLS | ({"torch.storage._load_from_bytes": _NestedStorages()} if nested else {})
    reader = PickleReader(calls, records.persistent)
    content = reader.read(file)
    if type(content) is int and content == _MAGIC:
        for _ in ("protocol version", "system"):
            reader.read(file)
        content = reader.read(file)
        records.find(reader.read(file))
    return content, reader.skipped


class _NestedStorages:
    """Storages that pickle, not torch, saved: each a whole file as bytes in the pickle."""

    def __init__(self):
        self._read: dict[int, tuple[object, object]] = {}  # by identity, as bytes are long

    def __call__(self, arguments: tuple) -> Storage:
        match arguments:
            case (bytes() | str() as data,):
                if id(data) not in self._read:
                    self._read[id(data)] = data, self._storage(data)
                if isinstance(storage := self._read[id(data)][1], Storage):
                    return storage
        raise NotPure

    def _storage(self, data: bytes | str) -> object:
        try:
            binary = data if isinstance(data, bytes) else data.encode("latin-1")
            return read_stream(io.BytesIO(binary), nested=False)[0]
        except Exception:
            return None


class _ZipRecords:
    def __init__(self, file: BinaryIO, archive: zipfile.ZipFile, folder: str):
        self._file = file
        self._archive = archive
        self._folder = folder
        self._infos = {info.filename: info for info in archive.infolist()}
        order = self._infos.get(f"{folder}byteorder")
        if order is not None and self._bytes(order, 0, order.file_size) == b"big":
            raise ValueError("its numbers are big-endian: load and save it again by torch")

    def pickle(self) -> bytearray:
        info = self._infos[f"{self._folder}data.pkl"]
        return self._bytes(info, 0, info.file_size)

    def read(self, key: object, start: int, length: int) -> bytearray:
        info = self._infos.get(f"{self._folder}data/{key}")
        if info is None or start + length > info.file_size:
            raise _beyond(key)
        return self._bytes(info, start, length)

    def _bytes(self, info: zipfile.ZipInfo, start: int, length: int) -> bytearray:
        if info.flag_bits & 1:
            raise ValueError("an encrypted archive")
        if info.compress_type:  # someone has packed the archive again
            if length > _MOST_INFLATED:
                raise ValueError("a compressed record of an enormous size")
            with self._archive.open(info) as record:
                record.seek(start)
                data = bytearray(record.read(length))
        else:
            # Not by zipfile, which takes the 0 in place of a sum that torch left out for one.
            header = _exactly(self._file, info.header_offset, _LOCAL_HEADER.size)
            *_, name_length, extra_length = _LOCAL_HEADER.unpack(header)
            begin = info.header_offset + _LOCAL_HEADER.size + name_length + extra_length
            data = _exactly(self._file, begin + start, length)
        whole = length == info.file_size
        if len(data) != length or (whole and info.CRC and zlib.crc32(data) != info.CRC):
            raise ValueError(f"the checksum of {info.filename} does not match")
        return data


class _StreamRecords:
    """Storages that follow their pickle, each as its number of elements and these."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._sizes: dict[object, int] = {}  # in bytes of an element
        self._places: dict[object, tuple[int, int]] = {}

    def persistent(self, identity: object) -> object:
        match identity:
            case ("module", Global() as kind, *_):
                return kind
        storage = storage_of(identity, self)
        self._sizes[storage.key] = storage.dtype.itemsize
        return storage

    def find(self, keys: object) -> None:
        """Finds the storages behind the last pickle, in the order of these keys."""
        if not isinstance(keys, list):
            raise ValueError("storages without names")
        place = self._file.tell()
        for key in keys:
            (count,) = struct.unpack("<q", _exactly(self._file, place, 8))
            size = count * self._sizes[key]
            if size < 0:
                raise ValueError("a storage of a negative size")
            self._places[key] = place + 8, size
            place += 8 + size
        if place > self._file.seek(0, io.SEEK_END):
            raise ValueError("it ends too early")

    def read(self, key: object, start: int, length: int) -> bytearray:
        place, size = self._places.get(key, (0, 0))
        if start + length > size:
            raise _beyond(key)
        return _exactly(self._file, place + start, length)


class _TarRecords:
    """Storages and tensors of the members of these names; the pickle refers to tensors."""

    def __init__(self, file: BinaryIO, archive: tarfile.TarFile):
        self._file = file
        self._archive = archive
        self._places: dict[object, tuple[int, int]] = {}
        storages = self._find_storages()
        self._tensors = self._find_tensors(storages)

    def member(self, name: str) -> BinaryIO:
        """A member, as a file of its own."""
        info = self._archive.getmember(name)
        if not info.isreg() or info.issparse():
            raise ValueError("a member that is no plain file")
        return io.BytesIO(_exactly(self._file, info.offset_data, info.size))

    def tensor(self, identity: object) -> object:
        match identity:
            case (Global() as kind, *_):
                return kind
            case str() | int():
                return self._tensors[int(identity)]
        raise NotPure

    def read(self, key: object, start: int, length: int) -> bytearray:
        place, size = self._places[key]
        if start + length > size:
            raise _beyond(key)
        return _exactly(self._file, place + start, length)

    def _find_storages(self) -> dict[object, Storage]:
        base = self._archive.getmember("storages").offset_data
        member = self.member("storages")
        reader = PickleReader({}, _no_object)
        storages: dict[object, Storage] = {}
        for _ in range(_count(reader.read(member))):
            key, location, kind = reader.read(member)
            storage = storage_of(("storage", kind, key, location, 0), self)
            (count,) = struct.unpack("<q", _exactly(member, member.tell(), 8))
            size = count * storage.dtype.itemsize
            if size < 0:
                raise ValueError("a storage of a negative size")
            self._places[key] = base + member.tell(), size
            storages[key] = storage
            member.seek(size, io.SEEK_CUR)
        for key, root, offset, _ in reader.read(member):
            if _count(offset) < 0:
                raise ValueError("a view from before its storage")
            storages[key] = replace(storages[root], start=offset)
        return storages

    def _find_tensors(self, storages: dict[object, Storage]) -> dict[int, object]:
        member = self.member("tensors")
        reader = PickleReader({}, _no_object)
        tensors = {}
        for _ in range(_count(reader.read(member))):
            key, storage, _ = reader.read(member)
            # The number of dimensions takes eight bytes, of which four count.
            (dimensions,) = struct.unpack("<i4x", _exactly(member, member.tell(), 8))
            if not 0 <= dimensions <= 64:
                raise ValueError("a tensor of too many dimensions")
            layout = struct.Struct(f"<{2 * dimensions + 1}q")
            numbers = layout.unpack(_exactly(member, member.tell(), layout.size))
            shape, stride = numbers[:dimensions], numbers[dimensions:-1]
            source = storages[storage]
            tensors[int(key)] = view(source, source.dtype, numbers[-1], shape, stride)
        return tensors


def _no_object(_: object) -> object:
    raise NotPure


def _count(number: object) -> int:
    if type(number) is not int:
        raise ValueError("a count that is no integer")
    return number


def _exactly(file: BinaryIO, place: int, length: int) -> bytearray:
    file.seek(place)
    data = bytearray(file.read(length))
    if len(data) != length:
        raise ValueError("it ends too early")
    return data


def _beyond(key: object) -> ValueError:
    return ValueError(f"a tensor reaches beyond storage {key}, or there is none")
