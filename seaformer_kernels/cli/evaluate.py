"""`seaformer evaluate`: accuracy on a data set."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch

import seaformer_kernels as sk
from seaformer_kernels._files import write_whole
from seaformer_kernels.cli import accuracy, outputs
from seaformer_kernels.cli.errors import reason
from seaformer_kernels.cli.options import DEFAULT_MODEL, MODEL, THREADS
from seaformer_kernels.cli.outputs import show
from seaformer_kernels.cli.params import LocalPath, Size, Weights, WeightsSource
from seaformer_kernels.cli.weights import load_shared, load_weights
from seaformer_kernels.data.opening import LAYOUT_NAMES, open_data
from seaformer_kernels.data.reading import DataError
from seaformer_kernels.evaluate import InputSize, SlidingWindow, Views, pictures, sharding
from seaformer_kernels.evaluate.average_precision import NEEDS_COCO_EVAL
from seaformer_kernels.evaluate.classification import CROP, SHORTER_SIDE, Classification
from seaformer_kernels.evaluate.detection import Detection
from seaformer_kernels.evaluate.engines import (
    ENGINES,
    HALF_ENGINES,
    INT8_ENGINES,
    Engine,
    inputs_of,
    make_engine,
)
from seaformer_kernels.evaluate.progress import progress_bar
from seaformer_kernels.evaluate.run import Evaluation, run
from seaformer_kernels.evaluate.segmentation import Segmentation
from seaformer_kernels.evaluate.state import StateFile, digest_of
from seaformer_kernels.evaluate.views import usual_scale
from seaformer_kernels.models import ModelFacts
from seaformer_kernels.models.create import TASKS
from seaformer_kernels.models.pretrained.quantization import quantization_of

Task = Segmentation | Classification | Detection

_ALL = "all"
_LISTED = 20  # failures
_CALIBRATED = 300  # images


class Scales(click.ParamType):
    """Positive factors with commas between them."""

    name = "A,B,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            scales = tuple(float(part) for part in value.split(","))
        except ValueError:
            scales = ()
        if not scales or not all(0 < scale <= 16 for scale in scales):
            self.fail(f"expected factors up to 16, such as 0.75,1,1.25, got {value!r}", param, ctx)
        return scales


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What `seaformer evaluate` takes."""

    root: Path
    dataset: str | None
    split: str
    classes: Path | None
    task: str | None
    model: str | None
    weights: Weights
    engines: tuple[str, ...]
    calibrate: str
    native_program: Path | None
    resize: tuple[int, int] | None
    short_side: int | None
    long_side: int | None
    divisor: int | None
    input_scale: float | None
    crop: tuple[int, int] | None
    stride: tuple[int, int] | None
    flip: bool
    scales: tuple[float, ...] | None
    threads: int | None
    state: Path | None
    json: Path | None
    confusion: Path | None
    worst: Path | None
    worst_count: int
    overlays: Path | None
    overlay_images: tuple[str, ...]
    overwrite: bool

    @property
    def engine_names(self) -> list[str]:
        """The engines, each once, in the order asked for."""
        asked = [ENGINES if name == _ALL else (name,) for name in self.engines]
        return list(dict.fromkeys(name for names in asked for name in names))

    @property
    def calibrates(self) -> bool:
        """Whether an engine is of int8."""
        return any(name in INT8_ENGINES for name in self.engine_names)

    @property
    def architecture(self) -> str:
        """What to call the model."""
        return self.weights.architecture or self.model or DEFAULT_MODEL

    @property
    def facts(self) -> ModelFacts | None:
        """What the folder of the weights says of classes and images."""
        return self.weights.config.facts if self.weights.config else None

    @property
    def layout(self) -> str:
        """How the data lies in its folder."""
        usual = {"classification": "imagenet", "detection": "coco"}
        return self.dataset or usual.get(self.task or "", "folder")

    @property
    def results(self) -> list[Path]:
        """The files that are written at the end."""
        return [*filter(None, (self.json, self.confusion, self.worst, self.overlays))]

    def segmentation(self, data: Any, model: torch.nn.Module) -> Segmentation:
        """How pixels are labelled."""
        if self.stride and not self.crop:
            raise click.UsageError("--stride is of windows, whose size --crop says.")
        window = None
        if self.crop:
            crop = self.crop[::-1]
            stride = self.stride[::-1] if self.stride else tuple(-(-2 * side // 3) for side in crop)
            window = SlidingWindow(crop, stride)
        views = Views(self.input_size(model), window, self.flip, self.scales or (1.0,))
        return Segmentation(data.facts, views)

    def input_size(self, model: torch.nn.Module) -> InputSize:
        """The size at which the network sees images."""
        long_side = self.long_side
        if self.facts and not (self.resize or self.short_side or self.long_side):
            long_side = self.facts.input_longer_side
        return InputSize(
            self.resize and self.resize[::-1],
            self.short_side,
            long_side,
            self.input_scale or usual_scale(model),
            self.divisor or 1,
        )

    def detection(self, data: Any, model: torch.nn.Module) -> Detection:
        """How objects are found."""
        self._check_unused(("crop", "stride", "flip", "scales", "confusion"), "detection")
        if importlib.util.find_spec("faster_coco_eval") is None:
            raise click.ClickException(NEEDS_COCO_EVAL)
        return Detection(data.classes, self.input_size(model), (self.facts or data).mean)

    def classification(self, data: Any) -> Classification:
        """How images are classified."""
        sizes = "resize", "long_side", "divisor", "input_scale", "stride", "flip", "scales"
        self._check_unused((*sizes, "confusion", "worst", "overlays"), "classification")
        width, height = self.crop or (CROP, CROP)
        if width != height:
            raise click.UsageError(f"--crop is a square in classification, got {width}x{height}.")
        return Classification(len(data.classes), self.short_side or SHORTER_SIDE, width)

    def _check_unused(self, names: tuple[str, ...], task: str) -> None:
        for name in names:
            if getattr(self, name):
                option = name.replace("_", "-")
                raise click.UsageError(f"--{option} is for segmentation, got {task}.")


@click.command()
@click.option(
    "--data", "root", type=LocalPath(), required=True, metavar="PATH", help="Folder of the data."
)
@click.option(
    "--dataset",
    type=click.Choice(LAYOUT_NAMES),
    help="How the data lies in the folder, and what its classes are.  [default: folder, which is "
    "images/ and masks/; imagenet for classification; coco, boxes in its format, for detection]",
)
@click.option("--split", default="val", show_default=True, help="Part of the data.")
@click.option(
    "--classes",
    type=LocalPath(),
    metavar="FILE",
    help="Names of the classes of a folder of one's own: one a line, or JSON.",
)
@click.option(
    "--task",
    type=click.Choice(list(TASKS)),
    help="[default: that of the data]",
)
@MODEL
@click.option(
    "--weights",
    type=WeightsSource(),
    required=True,
    metavar="FILE|FOLDER|NAME",
    help="Checkpoint, .pth or .safetensors; or a folder of save_pretrained, or the name of weights "
    "that come with the package: those say the model, mean, std and size of images, too.",
)
@click.option(
    "--engine",
    "engines",
    type=click.Choice([*ENGINES, *HALF_ENGINES, *INT8_ENGINES, _ALL]),
    multiple=True,
    default=["fused"],
    show_default=True,
    help="What runs the network: plain PyTorch in every step, this package's ops, these as one op, "
    "or the program seaformer-native; the last three in float32, or in the type in their name. "
    "Several, or all of float32, are compared with the first.",
)
@click.option(
    "--calibrate",
    default="train",
    show_default=True,
    metavar="SPLIT",
    help="Part of the data that gives engines of int8 their ranges; 300 images, evenly spread.",
)
@click.option(
    "--native-program",
    type=LocalPath(),
    metavar="FILE",
    help="The program seaformer-native.  [default: the command of that name]",
)
@click.option(
    "--resize", type=Size(), metavar="WxH", help="Size the network sees.  [default: the image's]"
)
@click.option(
    "--short-side",
    type=click.IntRange(min=1),
    help="Scale images to this shorter side; they keep their ratio.  [default: 256 in "
    "classification]",
)
@click.option(
    "--long-side",
    type=click.IntRange(min=1),
    help="As --short-side; with both, images become as large as both allow.",
)
@click.option(
    "--input-scale",
    type=click.FloatRange(0, 16, min_open=True),
    help="Then scale both sides by this.  [default: 1; 0.5 for a model that upsamples]",
)
@click.option(
    "--divisor",
    type=click.IntRange(min=1),
    help="Then round both sides up to a multiple of this.  [default: 1]",
)
@click.option(
    "--crop",
    type=Size(),
    metavar="WxH",
    help="Segmentation: slide a window of this size over the image. Classification: the square in "
    "the middle.  [default: none; 224]",
)
@click.option(
    "--stride",
    type=Size(),
    metavar="WxH",
    help="Step of the window.  [default: two thirds of --crop]",
)
@click.option("--flip", is_flag=True, help="Average with the labels of the mirror image.")
@click.option("--scales", type=Scales(), help="Average over images scaled by these.  [default: 1]")
@THREADS
@click.option(
    "--state",
    type=LocalPath(),
    metavar="FILE",
    help="Keep what is counted in this file, and go on from it if it is there.",
)
@click.option(
    "--json", type=LocalPath(), metavar="FILE", help="Write all that is found to this file."
)
@click.option(
    "--confusion",
    type=LocalPath(),
    metavar="FILE",
    help="Draw the confusion matrix: .png, .svg or .pdf; needs matplotlib.",
)
@click.option(
    "--worst",
    type=LocalPath(),
    metavar="FILE",
    help="Draw the images with the lowest mIoU, or F1 of objects, beside truth and prediction.",
)
@click.option(
    "--worst-count", type=click.IntRange(min=1), default=6, show_default=True, help="How many."
)
@click.option(
    "--overlays",
    type=LocalPath(),
    metavar="FILE",
    help="Draw images with their labels laid over them, or with the objects found.",
)
@click.option(
    "--overlay-image",
    "overlay_images",
    multiple=True,
    metavar="NAME",
    help="Which: names as in --json, once for each.  [default: six, evenly spread]",
)
@click.option("--overwrite", is_flag=True, help="Replace results that are there already.")
def evaluate(**given: Any) -> None:
    """Tell how right a model is on a data set.

    Segmentation: mIoU, the IoU of each class, pixel and mean accuracy, at the size of each image;
    classification: top-1 and top-5; detection: COCO's AP at all IoUs and at 0.5 and 0.75, by size
    and of each class. Several engines are held beside each other. Started by
    `torchrun --nproc-per-node N -m seaformer_kernels.cli evaluate ...`, processes share the images.
    Images that fail do not stop the others; they are listed at the end, and the exit code is 1.
    """
    options = EvaluateOptions(**given)
    if options.threads:
        torch.set_num_threads(options.threads)
    _check_files(options)
    with sharding.joined():
        _evaluate(options)


def _check_files(options: EvaluateOptions) -> None:
    """Makes sure before the work that its results can be written."""
    outputs.check(
        options.results,
        [*options.weights.files, *filter(None, [options.classes])],
        options.overwrite,
    )
    if options.state and options.state in (*options.results, *options.weights.files):
        raise click.UsageError(f"{show(options.state)} is the state, and named twice.")
    for file in [*options.results, *filter(None, [options.state])]:
        outputs.make_folder(file.parent)
    if options.overlay_images and not options.overlays:
        raise click.UsageError("--overlay-image is of a sheet, whose file --overlays says.")
    if options.confusion:
        if options.confusion.suffix not in (".png", ".svg", ".pdf"):
            raise click.UsageError(
                f"--confusion: expected a .png, .svg or .pdf, got {show(options.confusion)}."
            )
        if importlib.util.find_spec("matplotlib") is None:
            raise click.ClickException(pictures.NEEDS_MATPLOTLIB)
    for file in filter(None, (options.worst, options.overlays)):
        if file.suffix not in (".png", ".jpg"):
            raise click.UsageError(f"Expected a sheet as .png or .jpg, got {show(file)}.")


def _evaluate(options: EvaluateOptions) -> None:
    first = sharding.rank() == 0
    data = _open(options, options.split)
    facts = getattr(data, "facts", data)
    normalised = options.facts or facts
    model = _load(options, data.task, len(facts.classes))
    try:
        task: Task = (
            options.classification(data)
            if data.task == "classification"
            else getattr(options, data.task)(data, model)
        )
        calibrated = () if quantization_of(model) else INT8_ENGINES
        engines = [
            make_engine(
                *(name, model, normalised.mean, normalised.std),
                *(options.native_program, options.threads or 1),
                _calibration(options, task) if name in calibrated else None,
            )
            for name in options.engine_names
        ]
        if isinstance(task, Segmentation):
            for engine in engines:
                task.check(engine)
        _check_overlays(options, data)
        about = _about(options, task, data, model)
        state = StateFile(options.state, about) if options.state else None
        found = run(task, engines, data, state, progress_bar("Evaluating"))
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"The state cannot be kept: {reason(error)}") from None
    if first:
        if found.scores:
            accuracy.tell(found)
        _write(options, task, engines[0], data, found, about)
        _tell_failures(found)
    if found.failures:
        sys.exit(1)


def _calibration(options: EvaluateOptions, task: Task) -> Iterator[torch.Tensor]:
    """What the network will be given of the images to calibrate on."""
    data = _open(options, options.calibrate)
    count = min(len(data), _CALIBRATED)
    images = (data[i * len(data) // count][0] for i in range(count))
    return inputs_of(task.predict, images)


def _open(options: EvaluateOptions, split: str) -> Any:
    try:
        data = open_data(options.layout, options.root, split, options.classes)
    except DataError as error:
        raise click.ClickException(str(error)) from None
    if not len(data):
        raise click.ClickException(f"Expected images in {show(options.root)}, got none.")
    if options.task not in (None, data.task):
        raise click.UsageError(
            f"--task {options.task}: expected data for it, got {options.layout}, which is for "
            f"{data.task}."
        )
    return data


def _load(options: EvaluateOptions, task: str, classes: int) -> torch.nn.Module:
    """The model with its weights; process 0 says where they come from."""
    weights = options.weights
    weights.check(task, options.model, classes)
    quiet = contextlib.redirect_stderr(io.StringIO()) if sharding.rank() else None
    with quiet or contextlib.nullcontext():
        if weights.config:
            return load_shared(weights)
        model = sk.create_model(options.architecture, task, classes)
        hint = f" Was {options.architecture} trained for {task} with {classes} classes?"
        load_weights(model, weights, hint)
    return model


def _about(options: EvaluateOptions, task: Task, data: Any, model: Any) -> dict[str, Any]:
    """What is evaluated, and how: a state of the same can be gone on from."""
    names = hashlib.sha256("\n".join(sample.name for sample in data.samples).encode())
    if isinstance(task, Segmentation):
        how = dataclasses.asdict(task.views)
    elif isinstance(task, Detection):
        how = dataclasses.asdict(task.input_size)
    else:
        how = {"shorter_side": task.shorter_side, "crop": task.crop}
    classes = getattr(data, "facts", data).classes
    return {
        "task": data.task,
        "data set": options.layout,
        "split": options.split,
        "names of images": names.hexdigest(),
        "classes": list(classes),
        "model": options.architecture,
        "weights": digest_of(model),
        "engines": options.engine_names,
        **(
            {"calibrated on": options.calibrate}
            if options.calibrates and not quantization_of(model)
            else {}
        ),
        "sizes and views": how,
    }


def _check_overlays(options: EvaluateOptions, data: Any) -> None:
    known = {sample.name for sample in data.samples}
    for name in options.overlay_images:
        if name not in known:
            raise click.UsageError(
                f"--overlay-image: expected a name such as {data.samples[0].name}, got {name}."
            )


def _write(
    options: EvaluateOptions,
    task: Task,
    engine: Engine,
    data: Any,
    found: Evaluation,
    about: dict[str, Any],
) -> None:
    if options.json:
        outputs.write_json(options.json, accuracy.to_json(found, about))
    if isinstance(task, Classification) or not found.scores:
        return
    detects = isinstance(task, Detection)
    files = {}
    if options.confusion:
        result, kind = found.results[engine.name], options.confusion.suffix[1:]
        files[options.confusion] = lambda path: pictures.draw_confusion(result, path, kind)
    if options.worst:
        if worst := pictures.worst(found.scores, options.worst_count):
            draw = pictures.draw_detections if detects else pictures.draw_comparison
            sheet = draw(task, engine, data, worst)
            files[options.worst] = _saving(sheet, options.worst)
        else:
            why = "there are no objects" if detects else "all pixels are ignored"
            click.echo(f"{show(options.worst)} is not drawn: {why}.", err=True)
    if options.overlays:
        names = options.overlay_images or _spread([*found.scores])
        draw = pictures.draw_detections if detects else pictures.draw_overlays
        sheet = draw(task, engine, data, names)
        files[options.overlays] = _saving(sheet, options.overlays)
    try:
        write_whole(files)
    except OSError as error:
        raise click.ClickException(f"Pictures cannot be written: {reason(error)}") from None


def _saving(sheet: Any, path: Path) -> Any:
    kind = "JPEG" if path.suffix == ".jpg" else "PNG"
    return lambda temporary: sheet.save(temporary, kind)


def _spread(names: list[str], count: int = 6) -> list[str]:
    count = min(count, len(names))
    return [names[i * len(names) // count] for i in range(count)]


def _tell_failures(found: Evaluation) -> None:
    if not found.failures:
        return
    count = len(found.failures)
    click.echo(f"{count} of {count + len(found.scores)} images failed:", err=True)
    for name, why in list(found.failures.items())[:_LISTED]:
        click.echo(f"{name}: {why}", err=True)
    if count > _LISTED:
        click.echo(f"{count - _LISTED} more failed; --json tells all.", err=True)
