"""Attention of all pixels, with the convolutions in front of it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seaformer_kernels import ops
from seaformer_kernels.fused.block import FusedBlock
from seaformer_kernels.fused.folding import Folded

_ACTIVATIONS = {"none": lambda x: x, "relu": F.relu, "relu6": F.relu6}


class FusedAttention(FusedBlock):
    """softmax(q k^T / sqrt(key_dim)) v of heads for inference; channels_last maps out.

    One op makes queries, keys and values; the attention is PyTorch's, and a step of whole graphs.

    Args:
        packed: from `ops.pack_pointwise`, whose outputs are all queries, then keys, then values.
        attention: from `ops.pack_attention`.
        heads, key_dim, value_dim, activation: as packed.
    """

    attention: Tensor

    def __init__(
        self,
        packed: Tensor,
        attention: Tensor,
        heads: int,
        key_dim: int,
        value_dim: int,
        activation: str,
    ):
        super().__init__(packed=packed, attention=attention)
        self.heads = heads
        self.key_dim = key_dim
        self.value_dim = value_dim
        self.out_channels = heads * value_dim
        self.activation = activation

    @classmethod
    def from_folded(
        cls,
        folded: Folded,
        heads: int,
        key_dim: int,
        activation: str = "none",
        *,
        dtype: torch.dtype = torch.float32,
    ) -> FusedAttention:
        """The fused form of a convolution that makes queries, keys and values, in this type."""
        value_dim = len(folded.bias) // heads - 2 * key_dim
        packed = ops.pack_pointwise(folded.rounded(), dtype=dtype)
        attention = ops.pack_attention(
            heads, key_dim, value_dim, activation=activation, dtype=dtype
        )
        return cls(packed, attention, heads, key_dim, value_dim, activation)

    def forward(self, x: Tensor) -> Tensor:
        keys = self.heads * self.key_dim
        made = ops.pointwise(self.in_dtype(x), self.packed, 2 * keys + self.out_channels)
        batch, _, height, width = made.shape
        tokens = made.permute(0, 2, 3, 1).flatten(1, 2)
        q, k, v = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in tokens.split([keys, keys, self.out_channels], 2)
        )
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        pixels = mixed.reshape(batch, height, width, self.out_channels)
        return _ACTIVATIONS[self.activation](pixels).permute(0, 3, 1, 2)
