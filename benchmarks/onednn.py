"""oneDNN's convolutions with what follows them fused in and weights in an order of its own.

These are the calls that torch.compile makes of a frozen model. Where torch has none of them, the
same is done layer by layer, and NAME says so.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FUSED = torch.backends.mkldnn.is_available() and all(
    hasattr(torch.ops.mkldnn, op)
    for op in ("_convolution_pointwise", "_reorder_convolution_weight")
)
NAME = "onednn_fused" if FUSED else "onednn_unfused"  # as tables call it


def serves(dtype: torch.dtype) -> bool:
    """Whether what NAME says can be had in a type on this processor."""
    supported = {
        torch.float16: "_is_mkldnn_fp16_supported",
        torch.bfloat16: "_is_mkldnn_bf16_supported",
    }
    return dtype == torch.float32 or not FUSED or getattr(torch.ops.mkldnn, supported[dtype])()


# Ours, oneDNN's and its arguments.
_ACTIVATIONS = {
    "none": (lambda x: x, "none", []),
    "relu": (F.relu_, "relu", []),
    "relu6": (lambda x: F.hardtanh_(x, 0.0, 6.0), "hardtanh", [0.0, 6.0]),
    "hardsigmoid": (lambda x: F.hardsigmoid(x, inplace=True), "hardsigmoid", []),
}


class Convolution:
    """A convolution and its activation, for inference on channels_last maps.

    Args:
        conv: with a bias, padded with zeros.
        size: shape of the maps that it will read, for which the weights are ordered.
        activation: "none", "relu", "relu6" or "hardsigmoid".
    """

    def __init__(self, conv: nn.Conv2d, size: torch.Size, activation: str = "none"):
        self._geometry = conv.padding, conv.stride, conv.dilation, conv.groups
        self._activate, self._name, self._arguments = _ACTIVATIONS[activation]
        self._bias = conv.bias.detach()
        self._weight = conv.weight.detach().contiguous(memory_format=torch.channels_last)
        self._fused = FUSED and serves(self._weight.dtype)
        if self._fused:
            self._weight = torch.ops.mkldnn._reorder_convolution_weight(
                self._weight, *self._geometry, list(size)
            )

    def __call__(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """The convolution of x, activated; or with a map of its size added, and not activated."""
        if not self._fused:
            padding, stride, dilation, groups = self._geometry
            y = F.conv2d(x, self._weight, self._bias, stride, padding, dilation, groups)
            return self._activate(y) if residual is None else y.add_(residual)
        layer = self._weight, self._bias, *self._geometry
        if residual is None:
            return torch.ops.mkldnn._convolution_pointwise.default(
                x, *layer, self._name, self._arguments, ""
            )
        return torch.ops.mkldnn._convolution_pointwise.binary(
            x, residual, *layer, "add", None, None, [], None
        )
