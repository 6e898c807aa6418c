"""Why layers stayed plain, as people can act on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from seaformer_kernels.fused import FusedBlock
from seaformer_kernels.graph import Untraceable, check_called_plainly
from seaformer_kernels.optimize.structure.same_padding import padding_of

_LAYERS = nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.MultiheadAttention


def plain_layers(
    model: nn.Module, reasons: Mapping[str, str]
) -> Iterator[tuple[str, nn.Module, str]]:
    """The layers that no fused block has taken over, by their names, and why.

    Args:
        model: after the search for blocks.
        reasons: why modules could not be looked into, by their names.
    """
    inside: set[nn.Module] = set()  # of what is a layer itself
    for path, module in model.named_modules():
        if isinstance(module, FusedBlock) or module in inside or not isinstance(module, _LAYERS):
            continue
        inside.update(module.modules())
        yield path, module, _own_reason(module) or _reason_around(path, reasons)


def _own_reason(layer: nn.Module) -> str | None:
    try:
        check_called_plainly(layer)
    except Untraceable as reason:
        return str(reason)
    if "forward" in vars(layer):
        return f"has a forward of its own ({type(layer).__name__})"
    if is_parametrized(layer):
        return f"has parametrizations ({type(layer).__name__})"
    if isinstance(layer, nn.ConvTranspose2d):
        return "is a transposed convolution"
    if not isinstance(layer, nn.Conv2d):
        return "reads no map of channels, which is what there are kernels for"
    if padding_of(layer) is None:
        kind = type(layer)
        own = kind.forward is not nn.Conv2d.forward
        return (
            f"has a forward of its own ({kind.__name__})"
            if own
            else (
                f"pads with {layer.padding_mode} values"
                if layer.padding_mode != "zeros"
                else "pads one side more than the other"
            )
        )
    if layer.groups not in (1, layer.in_channels) or layer.out_channels % layer.groups:
        return f"has {layer.groups} groups of several channels"
    if layer.groups > 1 and layer.out_channels != layer.in_channels:
        return "makes several outputs of each channel"
    return None


def _reason_around(path: str, reasons: Mapping[str, str]) -> str:
    """That of the innermost module around it that could not be looked into."""
    while path:
        path = path.rpartition(".")[0]
        if path in reasons:
            return f"is in {path or 'a model'}, which {reasons[path]}"
    return "is part of no block that there is a kernel for"
