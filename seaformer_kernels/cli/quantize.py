"""`seaformer quantize`: a model file of int8."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor
from torch.nn import functional as F

import seaformer_kernels as sk
from seaformer_kernels._files import write_whole
from seaformer_kernels.cli import outputs
from seaformer_kernels.cli.errors import reason
from seaformer_kernels.cli.options import THREADS, WEIGHTS, task_options
from seaformer_kernels.cli.outputs import show
from seaformer_kernels.cli.params import LocalPath, Weights
from seaformer_kernels.cli.weights import named_model
from seaformer_kernels.evaluate import InputSize
from seaformer_kernels.evaluate.views import usual_scale
from seaformer_kernels.models.pretrained.quantization import quantization_of
from seaformer_kernels.quantize import QuantizationReport
from seaformer_kernels.quantize.chart import FORMATS, NEEDS_MATPLOTLIB, draw_errors

_LONG_SIDE = 1024  # of photographs larger than what any network here was trained on


@click.command()
@click.argument("model", type=click.Choice(sk.list_models()), required=False)
@WEIGHTS
@click.option(
    "--data",
    type=LocalPath(),
    metavar="FOLDER",
    help="Images like those that the model will see, also in folders below; nothing else of them "
    "is needed. Weights that were trained as int8 know their ranges, and need none.",
)
@click.option(
    "--out",
    type=LocalPath(),
    required=True,
    metavar="FILE",
    help="The model file; one that is there is replaced.",
)
@task_options
@click.option(
    "--num-samples",
    type=click.IntRange(min=1),
    default=300,
    show_default=True,
    help="How many images are looked at.",
)
@click.option(
    "--observer",
    type=click.Choice(["histogram", "minmax"]),
    default="histogram",
    show_default=True,
    help="How the range of a map is found: histogram clips what would cost more than it is worth.",
)
@click.option(
    "--skip",
    multiple=True,
    metavar="PART",
    help="A part of the network that stays float, such as backbone.smb1.layer1. May be given "
    "several times.",
)
@click.option(
    "--rest",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="Type of what is not int8.",
)
@click.option("--equalize/--no-equalize", default=True, help="Give channels ranges alike.")
@click.option(
    "--bias-correction/--no-bias-correction",
    default=True,
    help="Let biases make up for rounded weights.",
)
@click.option(
    "--long-side",
    type=click.IntRange(min=32),
    help="Scale images to this longer side.  [default: what the weights were trained for, if they "
    f"say so; else {_LONG_SIDE} for larger ones]",
)
@click.option(
    "--json", type=LocalPath(), metavar="FILE", help="Write ranges and errors to this file."
)
@click.option(
    "--chart",
    type=LocalPath(),
    metavar="FILE",
    help="Draw the error of each block: .png, .svg or .pdf; needs matplotlib.",
)
@THREADS
def quantize(
    model: str | None,
    weights: Weights | None,
    data: Path | None,
    out: Path,
    task: str | None,
    num_classes: int | None,
    json: Path | None,
    chart: Path | None,
    long_side: int | None,
    rest: str,
    threads: int | None,
    **options: Any,
) -> None:
    """Write a model as a file of int8 for seaformer-native and the C API.

    Ranges of its maps are found on some images, or are those that it was trained with. MODEL is the
    member of the family; weights in a folder, or that come with the package, say that themselves.
    """
    read = weights.files if weights else []
    outputs.check([out, *filter(None, [json, chart])], read, overwrite=True)
    if chart:
        _check_chart(chart)
    if threads:
        torch.set_num_threads(threads)
    network, facts = named_model(model, weights, task, num_classes)
    trained = quantization_of(network) is not None
    if chart and trained:
        raise click.UsageError(
            "--chart is of errors beside the float model, which weights that were trained as int8 "
            "have not."
        )
    if data is None and not trained:
        raise click.UsageError("Missing option '--data', of images that ranges are found on.")
    by: dict[str, Any] = {"mean": facts.mean, "std": facts.std, "rest": getattr(torch, rest)}
    try:
        if trained:
            made = sk.convert(network, **by)
        else:
            scaling = _scaling(network, long_side or facts.input_longer_side)
            made = sk.quantize(network, data, transform=scaling, **by, **options)
        written = sk.export_native(made, out)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{show(out)} cannot be written: {reason(error)}") from None
    report: Any = made.report()
    if json:
        outputs.write_json(json, to_json(report))
    if chart:
        try:
            write_whole({chart: lambda file: draw_errors(report, file, chart.suffix[1:])})
        except OSError as error:
            message = f"{show(chart)} cannot be written: {reason(error)}"
            raise click.ClickException(message) from None
    click.echo(str(report))
    click.echo(
        f"{show(out)}: {written.task}, {written.num_classes} classes, {written.bytes:,} bytes, "
        f"{len(report.int8)} of {len(report.entries)} blocks in int8"
    )


def _check_chart(chart: Path) -> None:
    """Makes sure before the work that there can be one."""
    if chart.suffix not in FORMATS:
        raise click.UsageError(f"--chart: expected a .png, .svg or .pdf, got {show(chart)}.")
    if importlib.util.find_spec("matplotlib") is None:
        raise click.ClickException(NEEDS_MATPLOTLIB)


def to_json(report: QuantizationReport) -> dict[str, Any]:
    """All that a report says; null for what was not measured."""
    return {
        "samples": report.samples,
        "signal_to_noise": _number(report.signal_to_noise),
        "blocks": [
            {name: _number(value) for name, value in dataclasses.asdict(entry).items()}
            for entry in report.entries
        ],
    }


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _scaling(network: torch.nn.Module, long_side: int | None) -> Callable[[Tensor], Tensor]:
    """Scales pixels to what the network is used with."""
    usual = usual_scale(network)

    def scaled(image: Tensor) -> Tensor:
        size = tuple(image.shape[1:])
        limit = long_side or min(max(size), _LONG_SIDE)
        wanted = InputSize(long_side=limit, scale=usual).of(size)
        if wanted == size:
            return image
        x = image[None].float()
        x = F.interpolate(x, size=wanted, mode="bilinear", align_corners=False, antialias=True)
        return x[0].round().clamp(0, 255).to(torch.uint8)

    return scaled
