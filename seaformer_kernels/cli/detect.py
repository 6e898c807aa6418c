"""`seaformer detect`: find objects in images."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click

from seaformer_kernels.cli import batch, inputs, outputs, pipeline
from seaformer_kernels.cli.engines import make_engine
from seaformer_kernels.cli.inputs import Input
from seaformer_kernels.cli.options import DetectionOptions, batch_options, detection_options
from seaformer_kernels.cli.outputs import show
from seaformer_kernels.cli.params import LocalPath
from seaformer_kernels.cli.pipeline import Detected
from seaformer_kernels.cli.weights import load_model

STEPS = ("read", "predict", "write")
_NAMED = 4  # classes of an image, in a line


@click.command()
@click.option(
    "--out",
    type=LocalPath(),
    default="seaformer-output",
    show_default=True,
    metavar="FOLDER",
    help="Folder of the pictures, made if need be.",
)
@batch_options
@detection_options
def detect(
    paths: tuple[Path, ...],
    out: Path,
    recursive: bool,
    json_file: Path | None,
    overwrite: bool,
    eager: bool,
    **given: Any,
) -> None:
    """Find objects in images, and draw boxes around them.

    A folder stands for the images in it. Writes NAME_boxes.png, the image with a box around each
    object, its class and its score; tells the times, and how many objects of which class there
    are. Images that fail do not stop the others; they are listed at the end, and the exit code is
    1.

    What --json writes is a list of results in COCO's format: image_id is the name of the image, as
    a number where it is one; category_id that of the annotations that the weights were trained on,
    if they say so, else the label; bbox is left, top, width and height in pixels of the image.
    """
    options = DetectionOptions(**given)
    files = inputs.find(paths, recursive)
    inputs.check_names(files)
    pictures = {file: outputs.boxes_of(file.name, out) for file in files}
    read = [*(file.path for file in files), *options.files]
    outputs.check([*pictures.values(), *([json_file] if json_file else [])], read, overwrite)
    outputs.make_folder(out)
    if json_file:
        outputs.make_folder(json_file.parent)
    engine = make_engine(load_model(options), options, eager)

    report = batch.Report(STEPS, "found")
    results: list[dict[str, Any]] = []

    def work(file: Input) -> Detected:
        result = pipeline.detect(engine, file.path, options)
        pipeline.save_boxes(result, options, pictures[file])
        return result

    def tell(file: Input, result: Detected) -> None:
        photo = result.photo
        report.add(file, photo.image.size, photo.warning, result.times, _counts(result, options))
        results.extend(_records(file, result, options))

    found = batch.one_by_one(files, work)
    failures = batch.process(found, len(files), "Detecting", report.console, tell)
    report.finish()
    if len(failures) < len(files):
        click.echo(f"Pictures with boxes are in {show(out)}.")
    if json_file:
        outputs.write_json(json_file, results)
    batch.exit_if_failed(failures, len(files))


def _counts(result: Detected, options: DetectionOptions) -> list[str]:
    """The classes with most objects, and how many."""
    counts = Counter(result.found.classes.tolist()).most_common(_NAMED)
    return [f"{count} {options.classes.name(label)}" for label, count in counts] or ["nothing"]


def _records(file: Input, result: Detected, options: DetectionOptions) -> list[dict[str, Any]]:
    name = file.name.as_posix()
    found = result.found
    return [
        {
            "image_id": int(name) if name.isascii() and name.isdigit() else name,
            "category_id": options.category_ids[label],
            "bbox": [left, top, right - left, bottom - top],
            "score": score,
        }
        for (left, top, right, bottom), score, label in zip(
            found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True
        )
    ]
