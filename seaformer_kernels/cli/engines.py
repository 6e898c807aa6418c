"""What runs the network of a command."""

from __future__ import annotations

import click
import torch
from torch import nn

import seaformer_kernels as sk
from seaformer_kernels import _extension
from seaformer_kernels.cli.options import ModelOptions
from seaformer_kernels.evaluate.engines import PlainEngine, TorchEngine
from seaformer_kernels.ops._element import name_of


def make_engine(model: nn.Module, options: ModelOptions, eager: bool) -> TorchEngine:
    """Plain PyTorch in every step, or this package's ops, as few as there can be.

    Raises:
        click.ClickException: the model cannot be had in the type that the options say.
    """
    if eager:
        if options.dtype != name_of(torch.float32):
            raise click.UsageError("--dtype is of fused networks, and of no use with --eager.")
        return PlainEngine("plain", model, *options.normalisation)
    whole = _extension.module is not None
    try:
        fast = sk.optimize(model, *options.normalisation, whole_graph=whole, **options.precision)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    return TorchEngine("fused", fast)
