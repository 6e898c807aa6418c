"""What runs the network of a command."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import click
import torch
from torch import nn

import seaformer_kernels as sk
from seaformer_kernels import _extension
from seaformer_kernels.cli.options import ModelOptions
from seaformer_kernels.evaluate.engines import PlainEngine, TorchEngine
from seaformer_kernels.models.pretrained.quantization import quantization_of
from seaformer_kernels.ops._element import name_of


def converted(
    model: nn.Module,
    mean: Sequence[float],
    std: Sequence[float],
    dtype: torch.dtype,
    keep_float32: Collection[str],
    whole_graph: bool = False,
) -> sk.OptimizedModel:
    """The int8 form of a model that was trained as such; arguments as of `optimize`.

    Raises:
        click.UsageError: parts are to be float32, which it was not trained for.
        ValueError: as `convert`.
    """
    if keep_float32:
        raise click.UsageError(
            "--keep-float32 is of no use with weights that were trained as int8: their recipe says "
            "what stays float."
        )
    return sk.convert(model, mean, std, rest=dtype, whole_graph=whole_graph)


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
        if quantization_of(model) is not None:
            int8 = converted(model, *options.normalisation, **options.precision, whole_graph=whole)
            return TorchEngine("int8", int8)
        fast = sk.optimize(model, *options.normalisation, whole_graph=whole, **options.precision)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    return TorchEngine("fused", fast)
