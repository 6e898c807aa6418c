"""`seaformer segment`: label images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from seaformer_kernels.cli import batch, inputs, outputs, ray_engine, record, shares
from seaformer_kernels.cli.classes import Share, total
from seaformer_kernels.cli.inputs import Input
from seaformer_kernels.cli.options import SegmentationOptions, batch_options, segmentation_options
from seaformer_kernels.cli.outputs import show
from seaformer_kernels.cli.params import LocalPath
from seaformer_kernels.cli.segmenting import STEPS, Done, Segmenting
from seaformer_kernels.cli.weights import load_model

_NAMED = 3  # classes of an image, in a line


@click.command()
@click.option(
    "--out",
    type=LocalPath(),
    default="seaformer-output",
    show_default=True,
    metavar="FOLDER",
    help="Folder of the results, made if need be.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="What runs it: this process, or workers of Ray, each with the model. With ray, images "
    "whose results are there are skipped.",
)
@click.option(
    "--address",
    metavar="ADDRESS",
    help="Ray's cluster, such as auto or HOST:PORT.  [default: RAY_ADDRESS, else one on this "
    "machine for the time of the command]",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Workers of Ray.  [default: as many as have cores for --threads, of which the default "
    "then is 1]",
)
@batch_options
@segmentation_options
def segment(
    paths: tuple[Path, ...],
    out: Path,
    engine: str,
    address: str | None,
    workers: int | None,
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

    With --engine ray, the model runs in many processes, on all machines of a cluster that see the
    same files. A run that was stopped goes on where it was if it is given again.
    """
    options = SegmentationOptions(**given)
    on_ray = engine == "ray"
    if not on_ray and (address or workers):
        raise click.UsageError("--address and --workers are of use with --engine ray only.")
    files = inputs.find(paths, recursive)
    _check(files, out, json_file, options, overwrite, on_ray)
    outputs.make_folder(out)
    if json_file:
        outputs.make_folder(json_file.parent)
    if on_ray and not overwrite:
        files = _not_done(files, out)
    classes = options.classes
    report = batch.Report(STEPS, "mostly" if classes.names else None)
    images: list[dict[str, Any]] = []
    found: list[list[Share]] = []

    def tell(file: Input, done: Done) -> None:
        found.append(done.shares)
        mostly = [f"{classes.name(s.label)} {s}" for s in done.shares[:_NAMED]]
        report.add(file, done.size, done.warning, done.times, mostly)
        written = outputs.outputs_of(file.name, out)
        files_written = {"labels": show(written.labels), "overlay": show(written.overlay)}
        its = shares.records(done.shares, classes)
        images.append(record.of_image(file, done.size, done.times, **files_written, classes=its))

    if on_ray:
        pool = ray_engine.Pool(address, workers)
        results = ray_engine.segment(files, options, out, eager, overwrite, pool)
    else:
        results = batch.one_by_one(files, Segmenting(load_model(options), options, out, eager))
    failures = batch.process(results, len(files), "Segmenting", report.console, tell)
    report.finish()
    if found:
        shares.show(total(found), classes, len(found), report.console)
        click.echo(f"Labels and overlays are in {show(out)}.")
    if json_file:
        of_all = shares.records(total(found), classes)
        outputs.write_json(json_file, record.of_run(options, images, failures, classes=of_all))
    batch.exit_if_failed(failures, len(files))


def _not_done(files: Sequence[Input], out: Path) -> list[Input]:
    """The images whose results are not there, or not both."""
    left = [file for file in files if not ray_engine.is_done(file, out)]
    if len(left) < len(files):
        click.echo(
            f"{len(files) - len(left)} of {len(files)} images have their results in {show(out)} "
            "and are skipped; --overwrite makes them anew.",
            err=True,
        )
    return left


def _check(
    files: Sequence[Input],
    out: Path,
    json_file: Path | None,
    options: SegmentationOptions,
    overwrite: bool,
    resuming: bool,
) -> None:
    inputs.check_names(files)
    results = [path for file in files for path in outputs.outputs_of(file.name, out)]
    read = [*(file.path for file in files), *options.files]
    outputs.check(results + ([json_file] if json_file else []), read, overwrite or resuming)
    if json_file and resuming:
        outputs.check([json_file], read, overwrite)
