"""`seaformer export`: a model file for programs without torch or Python."""

from __future__ import annotations

from pathlib import Path

import click

import seaformer_kernels as sk
from seaformer_kernels.cli import outputs
from seaformer_kernels.cli.engines import converted
from seaformer_kernels.cli.errors import reason
from seaformer_kernels.cli.options import WEIGHTS, precision, precision_options, task_options
from seaformer_kernels.cli.outputs import show
from seaformer_kernels.cli.params import LocalPath, Weights
from seaformer_kernels.cli.weights import named_model
from seaformer_kernels.models.pretrained.quantization import quantization_of
from seaformer_kernels.ops._element import ELEMENTS, name_of


@click.command()
@click.argument("model", type=click.Choice(sk.list_models()), required=False)
@WEIGHTS
@click.option(
    "--out",
    type=LocalPath(),
    required=True,
    metavar="FILE",
    help="The file; one that is there is replaced.",
)
@task_options
@precision_options
def export(
    model: str | None,
    weights: Weights | None,
    out: Path,
    task: str | None,
    num_classes: int | None,
    dtype: str,
    keep_float32: tuple[str, ...],
) -> None:
    """Write a model as a file for seaformer-native and the C API.

    Programs run it without torch or Python, on images as raw RGB values. MODEL is the member of the
    family; weights in a folder, or that come with the package, say that themselves.
    """
    outputs.check([out], weights.files if weights else [], overwrite=True)
    network, facts = named_model(model, weights, task, num_classes)
    try:
        given = precision(dtype, keep_float32)
        if quantization_of(network) is not None:
            written = sk.export_native(converted(network, facts.mean, facts.std, **given), out)
        else:
            written = sk.export_native(network, out, facts.mean, facts.std, **given)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{show(out)} cannot be written: {reason(error)}") from None
    click.echo(
        f"{show(out)}: {written.task}, {written.num_classes} classes, {written.bytes:,} bytes"
        f"{f' in {dtype}' if dtype != name_of(ELEMENTS[0]) else ''}"
    )
