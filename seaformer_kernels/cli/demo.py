"""`seaformer demo`: a real photograph, labelled by this package and by eager PyTorch."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import seaformer_kernels as sk
from seaformer_kernels.cli import outputs, pipeline, shares
from seaformer_kernels.cli.engines import make_engine
from seaformer_kernels.cli.errors import ImageError
from seaformer_kernels.cli.options import SegmentationOptions, segmentation_options
from seaformer_kernels.cli.outputs import show
from seaformer_kernels.cli.params import LocalPath, weights_in
from seaformer_kernels.cli.pipeline import Segmented
from seaformer_kernels.cli.times import Times
from seaformer_kernels.cli.weights import load_model

STEPS = ("read", "predict")
WEIGHTS = "people-tiny"
# Of the sample photograph, width and height: the weights learnt from whole people, and know those
# that are near from small pictures.
SAMPLE_SIZE = (110, 128)
_SAYING_WHICH = ("weights", "model", "dataset", "class_names", "num_classes")


@click.command()
@click.argument("image", type=LocalPath(), required=False)
@click.option(
    "--out",
    type=LocalPath(),
    default="demo-output",
    show_default=True,
    metavar="FOLDER",
    help="Folder of the results, made if need be; those of an earlier demo are replaced.",
)
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=7,
    show_default=True,
    help="Measurements of each.",
)
@segmentation_options
def demo(image: Path | None, out: Path, repeats: int, **given: Any) -> None:
    """Compare with eager PyTorch on a photograph.

    Segments IMAGE with this package and, in turns, with eager PyTorch, and tells the times and
    whether the labels agree. Writes the labels and an overlay as `segment` does. Without IMAGE it
    takes the sample photograph that comes with matplotlib; without --weights and without any option
    that says of which model, people-tiny, if it comes with the package.
    """
    if not any(given[option] for option in _SAYING_WHICH) and WEIGHTS in sk.list_pretrained():
        given["weights"] = weights_in(WEIGHTS)
        if image is None:
            given["resize"] = given["resize"] or SAMPLE_SIZE
    options = SegmentationOptions(**given)
    image = image or _sample_photo()
    paths = outputs.outputs_of(Path(image.stem), out)
    outputs.check(paths, [image, *options.files], overwrite=True)
    outputs.make_folder(out)
    model = load_model(options)
    try:
        ours, theirs, times = _measure(model, image, options, repeats)
        pipeline.save(ours, options, paths)
    except ImageError as error:
        raise click.ClickException(f"{show(image)}: {error}") from None

    photo = ours.photo.image
    width, height = options.input_size(photo.size)
    if ours.photo.warning:
        click.echo(f"{show(image)}: {ours.photo.warning}.", err=True)
    click.echo(f"image    {show(image)}, {photo.width}x{photo.height} pixels")
    click.echo(
        f"network  {options.architecture}, {options.class_count} classes, "
        f"{width}x{height} pixels in, {-(-width // 8)}x{-(-height // 8)} logits out"
    )
    click.echo(f"weights  {options.weights.given if options.weights else 'random, seeded'}")
    cpu = sk.cpu.info()
    if cpu.extension_loaded:
        kernels = ", ".join(
            f"{kernel.name} with {kernel.chosen}"
            for kernel in cpu.kernels
            if kernel.dtype == "float32"
        )
        sides = f"They can differ where two classes score alike to {options.dtype} rounding."
    else:
        kernels = f"none; the native extension is missing: {cpu.extension_reason}"
        sides = "Without the native extension both sides are plain PyTorch in every step."
    click.echo(f"kernels  {kernels}")
    click.echo(f"threads  {torch.get_num_threads()}\n")
    console = Console()
    if options.weights:
        shares.show(ours.shares, options.classes, 1, console)
    console.print(_table(times, repeats))
    differ = np.count_nonzero(ours.labels != theirs.labels)
    click.echo(
        f"Labels agree on {1 - differ / ours.labels.size:.4%} of the pixels "
        f"({differ} of {ours.labels.size} differ).\n"
        f"{sides}\n"
        f"Wrote {show(paths.labels)} and {show(paths.overlay)}."
    )


def _sample_photo() -> Path:
    try:
        from matplotlib import cbook

        return Path(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    except (ImportError, OSError):
        raise click.UsageError(
            "The default photograph comes with matplotlib, which is not here: name an IMAGE."
        ) from None


def _measure(
    model: torch.nn.Module, image: Path, options: SegmentationOptions, repeats: int
) -> tuple[Segmented, Segmented, tuple[list[Times], list[Times]]]:
    """Results of this package and of eager PyTorch, and their times in turns after one warm-up."""
    fused = make_engine(model, options, eager=False)
    eager = make_engine(model, dataclasses.replace(options, dtype="float32"), eager=True)
    times: tuple[list[Times], list[Times]] = ([], [])
    for _ in range(repeats + 1):
        ours = pipeline.segment(fused, image, options)
        theirs = pipeline.segment(eager, image, options)
        times[0].append(ours.times)
        times[1].append(theirs.times)
    return ours, theirs, (times[0][1:], times[1][1:])


def _table(times: tuple[list[Times], list[Times]], repeats: int) -> Table:
    table = Table(title=f"Milliseconds, median (least-most) of {repeats} in turns")
    table.add_column("step")
    for name in ("seaformer-kernels", "eager PyTorch", "times faster"):
        table.add_column(name, justify="right")
    rows = {step: (step,) for step in STEPS} | {"whole": STEPS}
    for step, parts in rows.items():
        ours, theirs = ([sum(t[part] for part in parts) for t in side] for side in times)
        ratio = statistics.median(theirs) / statistics.median(ours)
        table.add_row(step, _spread(ours), _spread(theirs), f"{ratio:.2f}")
    return table


def _spread(samples: list[float]) -> str:
    return f"{statistics.median(samples):.2f} ({min(samples):.2f}-{max(samples):.2f})"
