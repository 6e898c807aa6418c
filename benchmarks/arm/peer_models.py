"""Other runtimes for the guest: their aarch64 wheels, and the models that they read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import count
import count_model
import networks
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


def environment(names: Sequence[str]) -> dict[str, str]:
    """Variables of a guest that runs these implementations, of ours or of other runtimes."""
    path = [count_model.SITE, count_model.HERE]
    path += [SITE / name for name in names if name in WHEELS]
    return {"PYTHONPATH": ":".join(map(str, path)), "SEAFORMER_ARM_MODELS": str(MODELS)}


def _path(folder: Path, name: str, network: str, side: int, output: str) -> Path:
    """Of what a runtime reads; ncnn reads another file beside it."""
    suffix = {"onnxruntime": "onnx", "mnn": "mnn", "ncnn": "bin"}[name]
    return folder / f"{network.replace('/', '-')}-{side}-{output}.{suffix}"


def convert(name: str, network: str, side: int, output: str) -> None:
    """Writes a network as a runtime reads it, for images of a side, unless it is there.

    Raises:
        CountError: what converts it is not installed.
    """
    if missing := peers.PEERS[name].missing():
        raise count.CountError(f"{name} needs what is not installed: {', '.join(missing)}")
    MODELS.mkdir(parents=True, exist_ok=True)
    path = _path(MODELS, name, network, side, output)
    if path.exists():
        return
    plain, image = networks.plain(network, output), models.image(side, side)
    if name == "onnxruntime":
        path.write_bytes(peers.to_onnx(plain, image))
    elif name == "mnn":
        path.write_bytes(peers.to_mnn(plain, image))
    else:
        files = peers.to_ncnn(plain, image)
        path.with_suffix(".param").write_text(files.param)
        path.write_bytes(files.weights)


def load(
    name: str, folder: Path, network: str, side: int, output: str, dtype: torch.dtype
) -> peers.Infer:
    """In the guest: the runtime with what `convert` wrote to a folder, in a type, on one thread."""
    path, image = _path(folder, name, network, side, output), models.image(side, side)
    if name == "onnxruntime":
        return peers.load_onnxruntime(path.read_bytes(), image, 1, dtype)
    if name == "mnn":
        return peers.load_mnn(path.read_bytes(), image, 1, dtype)
    param = path.with_suffix(".param").read_text()
    return peers.load_ncnn(
        peers.NcnnFiles(param, path.read_bytes(), output == "labels"), image, 1, dtype
    )
