"""`seaformer export`: a model file for programs without torch or Python."""

from __future__ import annotations

from pathlib import Path

import click
import torch

import seaformer_kernels as sk
from seaformer_kernels import data
from seaformer_kernels.cli import outputs
from seaformer_kernels.cli.errors import reason
from seaformer_kernels.cli.options import WEIGHTS
from seaformer_kernels.cli.outputs import show
from seaformer_kernels.cli.params import LocalPath
from seaformer_kernels.cli.weights import SEED, load_weights


@click.command()
@click.argument("model", type=click.Choice(sk.list_models()))
@WEIGHTS
@click.option(
    "--out",
    type=LocalPath(),
    required=True,
    metavar="FILE",
    help="The file; one that is there is replaced.",
)
@click.option(
    "--task",
    type=click.Choice(["segmentation", "classification"]),
    default="segmentation",
    show_default=True,
)
@click.option(
    "--num-classes",
    type=click.IntRange(1, 1 << 16),
    help="Classes of the model.  [default: 150 for segmentation, 1000 for classification]",
)
def export(model: str, weights: Path | None, out: Path, task: str, num_classes: int | None) -> None:
    """Write MODEL as a file for seaformer-native and the C API.

    Programs run it without torch or Python, on images as raw RGB values.
    """
    outputs.check([out], [weights] if weights else [], overwrite=True)
    torch.manual_seed(SEED)
    network = sk.create_model(model, task, num_classes)
    if weights is None:
        click.echo(f"No --weights: {model} gets random ones (seed {SEED}).", err=True)
    else:
        load_weights(network, weights)
    try:
        written = sk.export_native(network, out, data.IMAGENET_MEAN, data.IMAGENET_STD)
    except OSError as error:
        raise click.ClickException(f"{show(out)} cannot be written: {reason(error)}") from None
    click.echo(
        f"{show(out)}: {written.task}, {written.num_classes} classes, {written.bytes:,} bytes"
    )
