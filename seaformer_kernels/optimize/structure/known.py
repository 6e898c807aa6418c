"""Classes of others that are known by their parameters."""

from __future__ import annotations

from torch import nn

from seaformer_kernels.fused import Unservable
from seaformer_kernels.fused.block import check_forwards
from seaformer_kernels.graph import Untraceable, check_called_plainly
from seaformer_kernels.modules import SeaAttention
from seaformer_kernels.optimize.structure.check import agree

_WIDTHS = ("to_q", "to_k", "to_v", "proj", "dwconv", "pwconv")


def sea_attention(module: nn.Module) -> SeaAttention | None:
    """Our SeaAttention with the weights of a module that does the same, such as the reference's.

    It is known by the names and shapes of its parameters, and tried on random maps.
    """
    if isinstance(module, SeaAttention) or not all(hasattr(module, name) for name in _WIDTHS):
        return None
    heads, state = getattr(module, "num_heads", None), module.state_dict()
    weights = [state.get(f"{name}.c.weight") for name in ("to_q", "to_v")]
    if not isinstance(heads, int) or any(w is None or w.dim() != 4 for w in weights):
        return None
    (keys, channels), (values, _) = (w.shape[:2] for w in weights)
    if keys % heads or values % keys:
        return None
    ours = SeaAttention(channels, keys // heads, heads, values // keys).eval()
    shapes = {name: tensor.shape for name, tensor in ours.state_dict().items()}
    if shapes != {name: tensor.shape for name, tensor in state.items()}:
        return None
    ours.load_state_dict(state)
    eps = [part.eps for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    for part in ours.modules():
        if isinstance(part, nn.BatchNorm2d) and eps:
            part.eps = eps[0]
    try:
        for part in module.modules():
            check_called_plainly(part)
        check_forwards(ours, SeaAttention)
    except (Unservable, Untraceable):
        return None
    return ours.requires_grad_(False) if agree(module, ours, [channels]) else None
