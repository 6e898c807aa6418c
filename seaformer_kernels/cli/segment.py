"""`seaformer segment`: label images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from seaformer_kernels.cli import batch, engines, inputs, outputs, pipeline, record
from seaformer_kernels.cli.classes import Classes, Share, total
from seaformer_kernels.cli.inputs import Input
from seaformer_kernels.cli.options import SegmentationOptions, batch_options, segmentation_options
from seaformer_kernels.cli.outputs import show
from seaformer_kernels.cli.params import LocalPath
from seaformer_kernels.cli.weights import load_model

STEPS = ("read", "predict", "write")
_NAMED = 3  # classes of an image, in a line
_ROWS = 20  # classes of all images, in the table


@click.command()
@click.option(
    "--out",
    type=LocalPath(),
    default="seaformer-output",
    show_default=True,
    metavar="FOLDER",
    help="Folder of the results, made if need be.",
)
@batch_options
@segmentation_options
def segment(
    paths: tuple[Path, ...],
    out: Path,
    recursive: bool,
    json_file: Path | None,
    overwrite: bool,
    eager: bool,
    **given: Any,
) -> None:
    """Label every pixel of images.

    A folder stands for the images in it. Writes NAME_labels.png, whose pixel values are the
    labels, and NAME_overlay.png, the image with the colours of the labels laid over it; with
    --recursive, those of images in folders below in such folders. Tells the times, and how many
    of the pixels have each label. Images that fail do not stop the others; they are listed at the
    end, and the exit code is 1.
    """
    options = SegmentationOptions(**given)
    files = inputs.find(paths, recursive)
    _check(files, out, json_file, options, overwrite)
    outputs.make_folder(out)
    if json_file:
        outputs.make_folder(json_file.parent)
    model = load_model(options)
    run = engines.eager if eager else engines.fused
    engine = run(model, options.data.mean, options.data.std)

    classes = options.classes
    report = batch.Report(STEPS, "mostly" if classes.names else None)
    images: list[dict[str, Any]] = []
    shares: list[list[Share]] = []

    def work(file: Input) -> None:
        result = pipeline.segment(engine, file.path, options)
        written = outputs.outputs_of(file.name, out)
        pipeline.save(result, options, written)
        shares.append(result.shares)
        mostly = [f"{classes.name(s.label)} {s}" for s in result.shares[:_NAMED]]
        report.add(file, result.photo, result.times, mostly)
        files_written = {"labels": show(written.labels), "overlay": show(written.overlay)}
        found = _records(result.shares, classes)
        images.append(
            record.of_image(file, result.photo, result.times, **files_written, classes=found)
        )

    failures = batch.process(files, "Segmenting", report.console, work)
    report.finish()
    if shares:
        _show(total(shares), classes, len(shares), report.console)
        click.echo(f"Labels and overlays are in {show(out)}.")
    if json_file:
        found = _records(total(shares), classes)
        outputs.write_json(json_file, record.of_run(options, images, failures, classes=found))
    batch.exit_if_failed(failures, len(files))


def _check(
    files: Sequence[Input],
    out: Path,
    json_file: Path | None,
    options: SegmentationOptions,
    overwrite: bool,
) -> None:
    owners: dict[str, Input] = {}
    for file in files:
        # Some file systems do not tell upper from lower case.
        owner = owners.setdefault(str(file.name).casefold(), file)
        if owner is not file:
            raise click.UsageError(
                f"The results of {show(owner.path)} and {show(file.path)} would have the same "
                "name; write them to different folders."
            )
    results = [path for file in files for path in outputs.outputs_of(file.name, out)]
    if json_file:
        results.append(json_file)
    outputs.check(results, [*(file.path for file in files), *options.files], overwrite)


def _records(shares: Sequence[Share], classes: Classes) -> list[dict[str, Any]]:
    return [
        {"name": classes.names[s.label] if classes.names else None, **s._asdict()} for s in shares
    ]


def _show(shares: Sequence[Share], classes: Classes, images: int, console: Console) -> None:
    click.echo(f"Share of each class in {images} images:" if images > 1 else "Share of each class:")
    table = Table(box=SIMPLE)
    for column in ("share", "pixels", "label"):
        table.add_column(column, justify="right")
    if classes.names:
        table.add_column("class")
    for share in shares[:_ROWS]:
        name = [Text(classes.names[share.label])] if classes.names else []
        table.add_row(f"{share.share:.2%}", f"{share.pixels:,}", str(share.label), *name)
    console.print(table)
    if len(shares) > _ROWS:
        click.echo(f"{len(shares) - _ROWS} more have less; --json tells all.")
