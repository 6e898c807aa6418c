"""Other runtimes for the guest: their aarch64 wheels, and the models that they read."""

from __future__ import annotations

import sys
from pathlib import Path

import count
import torch

from seaformer_kernels.bench import models, peers

SITE = count.BUILD / "peers"
MODELS = count.BUILD / "models"
# Later releases of ONNX Runtime have threads that report to its makers, even when told not to:
# what they do would be counted.
WHEELS = {
    "onnxruntime": ("onnxruntime==1.23.2", "flatbuffers", "protobuf"),
    "ncnn": ("ncnn",),
    "mnn": ("MNN",),
}
SIZE = (512, 512)
_PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")


def install(name: str) -> None:
    """Unpacks the wheels of a runtime for the guest's Python 3.11, unless they are there.

    Raises:
        CountError: pip found none.
    """
    folder = SITE / name
    if folder.is_dir():
        return
    platforms = [f"--platform={platform}_aarch64" for platform in _PLATFORMS]
    python = ["--python-version=3.11", "--implementation=cp", "--only-binary=:all:", "--no-deps"]
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--target", str(folder)]
    count.run([*pip, *python, *platforms, *WHEELS[name]])


def convert(name: str, variant: str, output: str) -> None:
    """Writes the model of a variant as a runtime reads it, unless it is there.

    Raises:
        CountError: what converts it is not installed.
    """
    if missing := peers.PEERS[name].missing():
        raise count.CountError(f"{name} needs what is not installed: {', '.join(missing)}")
    MODELS.mkdir(parents=True, exist_ok=True)
    stem = MODELS / f"{variant}-{output}"
    plain, image = models.plain_model(variant, output), models.image(*SIZE)
    if name == "onnxruntime" and not stem.with_suffix(".onnx").exists():
        stem.with_suffix(".onnx").write_bytes(peers.to_onnx(plain, image))
    if name == "mnn" and not stem.with_suffix(".mnn").exists():
        stem.with_suffix(".mnn").write_bytes(peers.to_mnn(plain, image))
    if name == "ncnn" and not stem.with_suffix(".bin").exists():
        files = peers.to_ncnn(plain, image)
        stem.with_suffix(".param").write_text(files.param)
        stem.with_suffix(".bin").write_bytes(files.weights)


def load(name: str, folder: Path, variant: str, output: str, dtype: torch.dtype) -> peers.Infer:
    """In the guest: the runtime with what `convert` wrote to a folder, in a type, on one thread."""
    stem, image = folder / f"{variant}-{output}", models.image(*SIZE)
    if name == "onnxruntime":
        return peers.load_onnxruntime(stem.with_suffix(".onnx").read_bytes(), image, 1, dtype)
    if name == "mnn":
        return peers.load_mnn(stem.with_suffix(".mnn").read_bytes(), image, 1, dtype)
    files = peers.NcnnFiles(
        stem.with_suffix(".param").read_text(),
        stem.with_suffix(".bin").read_bytes(),
        output == "labels",
    )
    return peers.load_ncnn(files, image, 1, dtype)
