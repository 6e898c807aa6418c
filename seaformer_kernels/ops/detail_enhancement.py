"""Depthwise 3x3 convolution, activation and 1x1 convolution in one pass."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from seaformer_kernels.ops import _maps
from seaformer_kernels.ops._library import register_differentiable
from seaformer_kernels.reference import detail_enhancement as reference

_OP = "detail_enhancement"


def _fake(
    qkv: Tensor,
    dw_weight: Tensor,
    dw_bias: Tensor | None,
    pw_weight: Tensor,
    pw_bias: Tensor | None,
    activation: str,
) -> Tensor:
    _maps.check_rank(_OP, "qkv", qkv)
    _maps.check_filled(_OP, "qkv", qkv)
    batch, channels, height, width = qkv.shape
    if dw_weight.shape != (channels, 1, 3, 3):
        raise ValueError(
            f"{_OP}: expected dw_weight of shape [{channels}, 1, 3, 3], got {list(dw_weight.shape)}"
        )
    outputs = pw_weight.shape[0] if pw_weight.dim() == 4 else 0
    if outputs == 0 or pw_weight.shape != (outputs, channels, 1, 1):
        raise ValueError(
            f"{_OP}: expected pw_weight of shape [any, {channels}, 1, 1], got "
            f"{list(pw_weight.shape)}"
        )
    for name, bias, size in (("dw_bias", dw_bias, channels), ("pw_bias", pw_bias, outputs)):
        if bias is not None and bias.shape != (size,):
            raise ValueError(f"{_OP}: expected {name} of shape [{size}], got {list(bias.shape)}")
    if activation not in reference.ACTIVATIONS:
        raise ValueError(f"{_OP}: expected activation to be none, relu or relu6, got {activation}")
    _maps.check_one_dtype(_OP, qkv, dw_weight, dw_bias, pw_weight, pw_bias)
    return _maps.empty_map(qkv, batch, outputs, height, width, dtype=qkv.dtype)


def _plain(*args: Any) -> Tensor:
    return _maps.channels_last(reference.detail_enhancement(*args))


_detail_enhancement = register_differentiable(
    "detail_enhancement(Tensor qkv, Tensor dw_weight, Tensor? dw_bias, Tensor pw_weight, "
    "Tensor? pw_bias, str activation) -> Tensor",
    plain=_plain,
    fake=_fake,
)


def detail_enhancement(
    qkv: Tensor,
    dw_weight: Tensor,
    dw_bias: Tensor | None,
    pw_weight: Tensor,
    pw_bias: Tensor | None,
    activation: str = "relu6",
) -> Tensor:
    """Depthwise 3x3 convolution, activation and 1x1 convolution without a map in between.

    The detail enhancement of SeaFormer's attention (ICLR 2023, section 3.2), which restores what
    squeezing loses; batch norms, if any, folded into the weights::

        result = pointwise(activation(depthwise3x3(qkv)))        padding 1, stride 1

    On the CPU a fused kernel does it in float32, the weights as they are, to which float16 is
    converted and back; other dtypes and devices run in plain PyTorch. Differentiable: gradients
    come from the plain definition, computed again from the inputs, and can be differentiated again.
    Under autocast to float16 it gives that, under others float32.

    Args:
        qkv: [B, A, H, W], any batch, H and W from 1, any floating dtype; converted once if not
            channels_last. In SeaFormer the queries, keys and values, concatenated.
        dw_weight, dw_bias: [A, 1, 3, 3] and [A] or None, in the dtype of qkv.
        pw_weight, pw_bias: [C, A, 1, 1] and [C] or None, likewise.
        activation: "relu6", "relu" or "none".

    Returns:
        [B, C, H, W] in the dtype of qkv, channels_last.

    Raises:
        TypeError: an argument has a wrong type.
        ValueError: shapes, dtypes or the activation do not fit.
    """
    tensors = {"qkv": qkv, "dw_weight": dw_weight, "pw_weight": pw_weight}
    biases = {"dw_bias": dw_bias, "pw_bias": pw_bias}
    tensors |= {name: x for name, x in biases.items() if x is not None}
    _maps.check_types(_OP, tensors, {})
    _maps.check_floating(_OP, tensors)
    if not isinstance(activation, str):
        raise TypeError(f"{_OP}: expected activation as a string, got {type(activation).__name__}")
    return _detail_enhancement(qkv, dw_weight, dw_bias, pw_weight, pw_bias, activation)
