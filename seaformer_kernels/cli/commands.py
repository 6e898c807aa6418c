"""The commands by name."""

from __future__ import annotations

import click

import seaformer_kernels as sk
from seaformer_kernels.cli.bench import bench
from seaformer_kernels.cli.classify import classify
from seaformer_kernels.cli.demo import demo
from seaformer_kernels.cli.detect import detect
from seaformer_kernels.cli.evaluate import evaluate
from seaformer_kernels.cli.export import export
from seaformer_kernels.cli.info import info
from seaformer_kernels.cli.quantize import quantize
from seaformer_kernels.cli.segment import segment
from seaformer_kernels.cli.train import train


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(sk.__version__)
def seaformer() -> None:
    """SeaFormer on this processor: label images, and see what runs and how fast."""
    try:
        sk.cpu.info()
    except ValueError as error:  # SEAFORMER_FORCE_ISA names what is not there
        raise click.ClickException(str(error)) from None


seaformer.add_command(info)
seaformer.add_command(segment)
seaformer.add_command(classify)
seaformer.add_command(detect)
seaformer.add_command(demo)
seaformer.add_command(evaluate)
seaformer.add_command(bench)
seaformer.add_command(export)
seaformer.add_command(quantize)
seaformer.add_command(train)
