"""What runs the network of a command."""

from __future__ import annotations

from torch import nn

import seaformer_kernels as sk
from seaformer_kernels import _extension
from seaformer_kernels.cli.options import ModelOptions
from seaformer_kernels.evaluate.engines import PlainEngine, TorchEngine


def make_engine(model: nn.Module, options: ModelOptions, eager: bool) -> TorchEngine:
    """Plain PyTorch in every step, or this package's ops, as few as there can be."""
    if eager:
        return PlainEngine("plain", model, *options.normalisation)
    whole_graph = _extension.module is not None
    return TorchEngine("fused", sk.optimize(model, *options.normalisation, whole_graph=whole_graph))
