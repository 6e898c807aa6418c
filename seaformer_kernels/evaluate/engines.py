"""Ways to run a network: plain PyTorch, this package's ops, the native program."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

import seaformer_kernels as sk
from seaformer_kernels import data
from seaformer_kernels.models import Detections
from seaformer_kernels.models.evaluating import evaluating
from seaformer_kernels.models.pretrained.quantization import quantization_of
from seaformer_kernels.ops._element import ELEMENTS, name_of
from seaformer_kernels.reference import upsample_argmax as reference

Size = tuple[int, int]  # height and width

PROGRAM = "seaformer-native"


class EngineError(ValueError):
    """An engine that is not to be had here, or cannot do what is asked of it."""


_FAST = ("fused", "whole-graph", "native")
ENGINES = ("plain", *_FAST)
# Names say of which type weights and maps are, unless that is float32.
HALF_ENGINES = tuple(f"{name}-{name_of(dtype)}" for dtype in ELEMENTS[1:] for name in _FAST)
INT8_ENGINES = tuple(f"{name}-int8" for name in _FAST)


class Engine(Protocol):
    """A network that takes images as they are read: uint8 [B, 3, H, W], RGB.

    Attributes:
        name: what tables call it.
        gives_logits: whether a segmenter's logits can be had, not its labels alone.
    """

    name: str
    gives_logits: bool

    def logits(self, x: Tensor) -> Tensor:
        """Logits, float32: [B, classes, h, w] of a segmenter, [B, classes] of a classifier."""

    def labels(self, x: Tensor, size: Size) -> Tensor:
        """Labels `[B, *size]` of a segmenter."""


class TorchEngine:
    """Any module that makes logits of images, plain or optimised, on any device.

    Args:
        name: what tables call it.
        model: of `create_model`, or another with such a forward; its `predict` makes the labels if
            it has one, else `upsample_argmax` does.
        mean, std: of R, G and B in the range 0..255; not used where `optimize` put a mean and std
            into the model.
    """

    gives_logits = True

    def __init__(
        self,
        name: str,
        model: nn.Module,
        mean: Sequence[float] = data.IMAGENET_MEAN,
        std: Sequence[float] = data.IMAGENET_STD,
    ):
        self.name = name
        self.model = model
        weight = next(model.parameters(), torch.empty(0))
        self._device, self._dtype = weight.device, weight.dtype
        self._reads_rgb = any(getattr(module, "normalizes", False) for module in model.modules())
        self._mean, self._std = (
            torch.tensor(values, device=self._device).view(3, 1, 1) for values in (mean, std)
        )

    def input(self, x: Tensor) -> Tensor:
        """What the model takes of images."""
        x = x.to(self._device).contiguous(memory_format=torch.channels_last)
        return x if self._reads_rgb else x.float().sub_(self._mean).div_(self._std).to(self._dtype)

    def logits(self, x: Tensor) -> Tensor:
        with evaluating(self.model):
            return self.model(self.input(x)).float()

    def labels(self, x: Tensor, size: Size) -> Tensor:
        predict = getattr(self.model, "predict", None)
        if predict is None:
            return self.to_labels(self.logits(x), size)
        return predict(self.input(x), size)

    def detections(self, x: Tensor, **thresholds: float) -> list[Detections]:
        """The objects in each image, of a detector; thresholds as its `predict` takes them."""
        return self.model.predict(self.input(x), **thresholds)  # type: ignore[operator]

    def to_labels(self, logits: Tensor, size: Size) -> Tensor:
        """Labels `[B, *size]` of logits."""
        return sk.ops.upsample_argmax(logits, size)


class PlainEngine(TorchEngine):
    """Plain PyTorch in every step, without this package's kernels."""

    def labels(self, x: Tensor, size: Size) -> Tensor:
        return self.to_labels(self.logits(x), size)

    def to_labels(self, logits: Tensor, size: Size) -> Tensor:
        return reference.upsample_argmax(logits, size)


class NativeEngine:
    """The program seaformer-native, run on each image.

    It makes labels, and names the five likeliest classes, but does not give logits of pixels.

    Args:
        model, mean, std: as `export_native` takes them; the file it writes lies in a temporary
            folder as long as the engine lives.
        program: its path; without one it is looked for as a command.
        threads: of the program.
        dtype: of weights and maps.
        name: what tables call it.

    Raises:
        EngineError: the program is not there.
        ValueError: as `export_native`.
    """

    gives_logits = False

    def __init__(
        self,
        model: nn.Module,
        mean: Sequence[float] | None = data.IMAGENET_MEAN,
        std: Sequence[float] | None = data.IMAGENET_STD,
        program: Path | None = None,
        threads: int = 1,
        dtype: torch.dtype | None = None,
        name: str = "native",
    ):
        self.name = name
        found = shutil.which(program or PROGRAM)
        if found is None:
            where = f"at {program}" if program else "among the commands, as no path is given"
            raise EngineError(
                f"Expected the program {PROGRAM} {where}, got nothing that can be run there; "
                "docs/start/c-and-phones.md says how to build it."
            )
        self._program = str(Path(found).absolute())
        self._threads = threads
        self._folder = tempfile.TemporaryDirectory(prefix="seaformer-evaluate-")
        self._file = Path(self._folder.name, "model.sfm")
        self.num_classes = sk.export_native(model, self._file, mean, std, dtype).num_classes

    def logits(self, x: Tensor) -> Tensor:
        """Of a classifier: minus the rank of the five likeliest classes, minus infinity of all."""
        printed = self._run(x)
        ranked = [int(label) for label in re.findall(r"^class (\d+): ", printed, re.MULTILINE)]
        if not ranked:
            raise EngineError(f"Expected classes of an image from {PROGRAM}, got {printed!r}.")
        scores = torch.full((1, self.num_classes), -torch.inf)
        scores[0, ranked] = -torch.arange(len(ranked)).float()
        return scores

    def labels(self, x: Tensor, size: Size) -> Tensor:
        result = Path(self._folder.name, "labels.raw")
        self._run(x, "-o", str(result), "--size", f"{size[1]}x{size[0]}")
        dtype = torch.uint8 if self.num_classes <= 256 else torch.int32
        return torch.frombuffer(bytearray(result.read_bytes()), dtype=dtype).view(1, *size)

    def detections(self, x: Tensor) -> list[Detections]:
        """The objects in one image, with the thresholds of the file."""
        rows = re.findall(r"^class (\d+): (\S+), box (\S+) (\S+) (\S+) (\S+)$", self._run(x), re.M)
        labels = torch.tensor([int(label) for label, *_ in rows], dtype=torch.int64)
        numbers = torch.tensor([[float(number) for number in row[1:]] for row in rows])
        numbers = numbers.view(-1, 5)
        return [Detections(numbers[:, 1:], numbers[:, 0], labels)]

    def _run(self, x: Tensor, *options: str) -> str:
        if len(x) != 1:
            raise EngineError(f"{PROGRAM} takes one image, got a batch of {len(x)}.")
        image = Path(self._folder.name, "image.ppm")
        pixels = x[0].permute(1, 2, 0).contiguous().numpy()
        image.write_bytes(b"P6\n%d %d\n255\n" % (x.shape[3], x.shape[2]) + pixels.tobytes())
        done = subprocess.run(
            [self._program, self._file, image, "--threads", str(self._threads), *options],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or ["nothing was said"])[0]
            raise EngineError(f"{PROGRAM} failed with code {done.returncode}: {said}")
        return done.stdout


class _Seen(Exception):
    """What an engine was given."""

    def __init__(self, x: Tensor):
        super().__init__()
        self.x = x


class _Recorder:
    """Stands for an engine, and hands on what it is given."""

    name = "recorder"
    gives_logits = True

    def logits(self, x: Tensor) -> Tensor:
        raise _Seen(x)

    def labels(self, x: Tensor, size: Size) -> Tensor:
        raise _Seen(x)

    def detections(self, x: Tensor) -> list[Detections]:
        raise _Seen(x)


def inputs_of(
    predict: Callable[[Engine, Tensor], object], images: Iterable[Tensor]
) -> Iterator[Tensor]:
    """What a network is first given of each image, to calibrate it on.

    Args:
        predict: of a task, such as `Segmentation`.
        images: as they are read.
    """
    for image in images:
        try:
            predict(_Recorder(), image)
        except _Seen as found:
            yield found.x


def _int8_engine(
    name: str,
    model: nn.Module,
    mean: Sequence[float],
    std: Sequence[float],
    program: Path | None,
    threads: int,
    calibration: Iterable[Tensor] | None,
) -> Engine:
    kind = name.removesuffix("-int8")
    whole = kind == "whole-graph"
    try:
        if quantization_of(model) is not None:
            fast = sk.convert(model, mean, std, whole_graph=whole)
        elif calibration is None:
            raise EngineError(f"Expected images to calibrate {name} on, got none.")
        else:
            fast = sk.quantize(model, calibration, mean=mean, std=std, whole_graph=whole)
    except RuntimeError as error:  # there is no native extension
        raise EngineError(str(error)) from None
    if kind == "native":  # mean and std are inside
        return NativeEngine(fast, None, None, program, threads, None, name)
    return TorchEngine(name, fast)


def make_engine(
    name: str,
    model: nn.Module,
    mean: Sequence[float] = data.IMAGENET_MEAN,
    std: Sequence[float] = data.IMAGENET_STD,
    program: Path | None = None,
    threads: int = 1,
    calibration: Iterable[Tensor] | None = None,
) -> Engine:
    """One of `ENGINES`, `HALF_ENGINES` or `INT8_ENGINES`.

    Args:
        name: "plain" is PyTorch in every step; "fused" is what `optimize` makes, "whole-graph"
            that with whole_graph=True, and "native" the program seaformer-native; "fused-float16"
            and so on are these in another type.
        model: a plain one of `create_model`, or of `prepare_qat`, which "plain" runs as it trains,
            and int8 engines with the ranges that it knows.
        mean, std: of R, G and B in the range 0..255.
        program, threads: of `NativeEngine`.
        calibration: raw images [B, 3, H, W], as `quantize` takes them, for engines of int8.

    Raises:
        EngineError: it is not to be had here, or not of a model of `prepare_qat`.
        ValueError: the name is unknown, or as `optimize`.
    """
    if name == "plain":
        return PlainEngine(name, model, mean, std)
    if name in INT8_ENGINES:
        return _int8_engine(name, model, mean, std, program, threads, calibration)
    if name not in (*ENGINES, *HALF_ENGINES):
        names = ", ".join((*ENGINES, *HALF_ENGINES, *INT8_ENGINES))
        raise ValueError(f"Expected an engine among {names}, got {name!r}.")
    if quantization_of(model) is not None:
        raise EngineError(
            f"Expected one of {', '.join(('plain', *INT8_ENGINES))} for a model that was trained "
            f"as int8, got {name}."
        )
    dtypes = {name_of(dtype): dtype for dtype in ELEMENTS}
    dtype = dtypes.get(name.rpartition("-")[2], torch.float32)
    kind = name.removesuffix(f"-{name_of(dtype)}")
    if kind == "native":
        return NativeEngine(model, mean, std, program, threads, dtype, name)
    try:
        fast = sk.optimize(model, mean, std, whole_graph=kind == "whole-graph", dtype=dtype)
    except RuntimeError as error:  # there is no native extension
        raise EngineError(str(error)) from None
    return TorchEngine(name, fast)
