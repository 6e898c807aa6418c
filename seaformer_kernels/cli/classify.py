"""`seaformer classify`: tell what images show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from seaformer_kernels.cli import batch, inputs, outputs, pipeline, record
from seaformer_kernels.cli.classes import name_of
from seaformer_kernels.cli.engines import make_engine
from seaformer_kernels.cli.inputs import Input
from seaformer_kernels.cli.options import (
    ClassificationOptions,
    batch_options,
    classification_options,
)
from seaformer_kernels.cli.pipeline import Classified
from seaformer_kernels.cli.weights import load_model

STEPS = ("read", "predict")


@click.command()
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="How many classes of each image to tell.",
)
@batch_options
@classification_options
def classify(
    paths: tuple[Path, ...],
    top: int,
    recursive: bool,
    json_file: Path | None,
    overwrite: bool,
    eager: bool,
    **given: Any,
) -> None:
    """Tell the likeliest classes of images.

    A folder stands for the images in it. Tells the times, and of each image the likeliest classes
    with their softmax, or the sigmoid of a model of one class. Images that fail do not stop the
    others; they are listed at the end, and the exit code is 1.
    """
    options = ClassificationOptions(**given)
    files = inputs.find(paths, recursive)
    if json_file:
        read = [*(file.path for file in files), *options.files]
        outputs.check([json_file], read, overwrite)
        outputs.make_folder(json_file.parent)
    model = load_model(options)
    engine = make_engine(model, options, eager)

    report = batch.Report(STEPS, "likeliest")
    images: list[dict[str, Any]] = []

    def tell(file: Input, result: Classified) -> None:
        photo = result.photo
        labels = np.argsort(-result.scores, kind="stable")[:top].tolist()
        scores = [(label, float(result.scores[label])) for label in labels]
        named = [f"{name_of(label, options.names)} {score:.1%}" for label, score in scores]
        report.add(file, photo.image.size, photo.warning, result.times, named)
        found = [
            {"name": options.names and options.names[label], "label": label, "score": score}
            for label, score in scores
        ]
        images.append(record.of_image(file, photo.image.size, result.times, classes=found))

    results = batch.one_by_one(files, lambda file: pipeline.classify(engine, file.path, options))
    failures = batch.process(results, len(files), "Classifying", report.console, tell)
    report.finish()
    if json_file:
        outputs.write_json(json_file, record.of_run(options, images, failures))
    batch.exit_if_failed(failures, len(files))
