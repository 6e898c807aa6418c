"""What a file is, by its content, and a sentence for each kind that is no checkpoint."""

import codecs
import re
import tarfile
import zipfile
from dataclasses import dataclass
from typing import BinaryIO

from seaformer_kernels.models.checkpoint.error import CheckpointError, summarize

_HEAD = 4096  # bytes that tell most kinds
_WEIGHT_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".pkl", ".safetensors", ".pth.tar")
_EXPORT = "load the model in PyTorch and save model.state_dict()"
_UNPACK = "unpack it and give the file in it"
_OTHER = "another library's format: save a PyTorch state_dict with the library that made it"

# (pattern at the start of the file, what it is, what to do), most special first.
_KINDS = [
    (rb"version https://git-lfs", "a Git LFS pointer, not the file itself", "run `git lfs pull`"),
    (
        rb"\s*(?i:<!doctype html|<html|<head|<script)",
        "a web page",
        "download the file itself, by its raw or direct link",
    ),
    (rb"\s*<\?xml|\s*<Error>", "an XML document", "download the file itself, by its direct link"),
    (rb"\x1f\x8b", "a gzip archive", _UNPACK),
    (rb"\xfd7zXZ\x00", "an xz archive", _UNPACK),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (rb"BZh[1-9]1AY&SY", "a bzip2 archive", _UNPACK),
    (rb"\x28\xb5\x2f\xfd", "a zstd archive", _UNPACK),
    (rb"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes it", _OTHER),
    (rb"\x93NUMPY", "a NumPy array", "a PyTorch state_dict is needed"),
    (rb"GGUF", "a GGUF file", _OTHER),
    (rb"(?s:.{4}TFL3)", "a TensorFlow Lite model", _OTHER),
    (rb"\x08\x01\x12", "a TensorFlow SavedModel", _OTHER),
    (rb"\x08[\x03-\x20][\x12\x1a\x22\x3a\x42]", "an ONNX model", _EXPORT),
    (rb"7767517\n", "an ncnn model", _OTHER),
    (rb"\x89PNG\r\n|\xff\xd8\xff|GIF8|(?s:RIFF.{4}WEBP)", "an image", "give the weights' file"),
    (rb"%PDF-", "a PDF document", "give the weights' file"),
    (rb"\x7fELF|MZ\x90", "a program", "give the weights' file"),
]


@dataclass(frozen=True)
class Zipped:
    """A zip archive of torch.save, and the folder of its records, ending in "/"."""

    archive: zipfile.ZipFile
    folder: str


@dataclass(frozen=True)
class Tarred:
    """A tar archive of torch.save."""

    archive: tarfile.TarFile


class Safetensors:
    """A file of the safetensors library."""


class Stream:
    """A pickle, or what cannot be told from one without reading it."""


def kind_of(file: BinaryIO, size: int, name: str) -> Zipped | Tarred | Safetensors | Stream:
    """What a file is.

    Args:
        file: seekable.
        size: in bytes.
        name: for messages.

    Raises:
        CheckpointError: it is empty, or surely no checkpoint; the message says what it is.
    """
    if size == 0:
        raise CheckpointError(f"Expected a checkpoint file, got {name}, which is empty.")
    file.seek(0)
    head = file.read(_HEAD)
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_zip(file, name)
    if head.startswith(b"PK"):
        raise refusal(name, "an empty or divided zip archive", _UNPACK)
    header = int.from_bytes(head[:8], "little")
    if len(head) > 8 and header <= size - 8 and head[8:9] == b"{":
        return Safetensors()
    if head[257:262] == b"ustar":
        return _kind_of_tar(file, name)
    for pattern, what, advice in _KINDS:
        if re.match(pattern, head):
            raise refusal(name, what, advice)
    return Stream()


def text_kind(file: BinaryIO) -> tuple[str, str] | None:
    """What a text file is, and what to do; None if it is none."""
    file.seek(0)
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(file.read(_HEAD))
    except UnicodeDecodeError:
        return None
    if not all(character.isprintable() or character in "\r\n\t\f" for character in text):
        return None
    if text.lstrip()[:1] in ("{", "["):
        if '"weight_map"' in text:
            return "the index of a checkpoint in parts", "join the parts into one state_dict first"
        return "a JSON file", "give the weights' file"
    return "a text file", "give the weights' file"


def refusal(name: str, what: str, advice: str) -> CheckpointError:
    """The error for a file that is no checkpoint."""
    return CheckpointError(f"Expected a PyTorch checkpoint, got {name}, which is {what}: {advice}.")


def _kind_of_zip(file: BinaryIO, name: str) -> Zipped:
    try:
        archive = zipfile.ZipFile(file)
    except Exception:
        raise CheckpointError(
            f"Expected {name} to be a checkpoint, got one that cannot be read: its zip archive is "
            "damaged or incomplete, as after a download that broke off."
        ) from None
    names = archive.namelist()
    folders = [n.removesuffix("data.pkl") for n in names if re.fullmatch(r"([^/]+/)?data\.pkl", n)]
    ends = {n.rpartition("/")[2] for n in names}
    inner = [n for n in names if n.lower().endswith(_WEIGHT_SUFFIXES)]
    if any(n.endswith("/.data/python_version") for n in names):
        raise refusal(name, "a torch.package archive", _EXPORT)
    if "constants.pkl" in ends:
        advice = "load it by torch.jit.load, and save its state_dict() by torch.save"
        raise refusal(name, "a TorchScript archive", advice)
    if "archive_format" in ends or "serialized_exported_program.json" in ends:
        advice = "load it by torch.export.load, and save its state_dict by torch.save"
        raise refusal(name, "an archive of torch.export", advice)
    if len(folders) == 1:
        return Zipped(archive, folders[0])
    if names and all(n.endswith(".npy") for n in names):
        raise refusal(name, "an archive of NumPy arrays", "a PyTorch state_dict is needed")
    if "model.weights.h5" in ends:
        raise refusal(name, "a Keras model", _OTHER)
    if inner:
        advice = f"unpack it and give the file in it ({summarize(inner)})"
        raise refusal(name, "a zip archive around a checkpoint", advice)
    raise refusal(name, f"a zip archive of other files ({summarize(names) or 'none'})", _UNPACK)


def _kind_of_tar(file: BinaryIO, name: str) -> Tarred:
    file.seek(0)
    archive = tarfile.TarFile(fileobj=file)
    names = archive.getnames()
    if {"storages", "tensors", "pickle"} <= set(names):
        return Tarred(archive)
    advice = f"unpack it and give the file in it ({summarize(names) or 'none'})"
    raise refusal(name, "a tar archive", advice)
