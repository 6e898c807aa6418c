"""Squeeze-enhanced axial attention, the block SeaFormer is named after."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seaformer_kernels.modules.conv_bn import ConvBN


class AxialPositionEmbedding(nn.Module):
    """Adds a learned embedding to a sequence [B, channels, L] of any length.

    The embedding holds `length` positions and is resized to L linearly, with half-pixel
    centres.
    """

    def __init__(self, channels: int, length: int = 16):
        super().__init__()
        self.pos_embed = nn.Parameter(torch.empty(1, channels, length))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.interpolate(
            self.pos_embed, size=x.shape[-1], mode="linear", align_corners=False
        )


class SeaAttention(nn.Module):
    """Squeeze-enhanced axial (SEA) attention of SeaFormer (ICLR 2023).

    Rows and columns are squeezed by their mean, each axis attends over its own H or W
    positions, and the two answers are broadcast onto the values; a depthwise convolution over
    queries, keys and values restores local detail, which the attention gates::

        detail    = pwconv(relu6(dwconv([q, k, v])))
        attention = proj(v + row attention + column attention)
        output    = h_sigmoid(attention) * detail

    The residual is added by the layer, not here. Maps [B, channels, H, W] to the same shape in
    any floating dtype, for any H and W.

    Args:
        channels: width of input and output.
        key_dim: width of queries and keys in each head.
        num_heads: number of heads.
        value_ratio: width of the values in each head divided by `key_dim`.
    """

    def __init__(self, channels: int, key_dim: int, num_heads: int, value_ratio: int = 2):
        super().__init__()
        self.num_heads = num_heads
        self.scale = key_dim**-0.5
        keys = key_dim * num_heads
        values = keys * value_ratio

        self.to_q = ConvBN(channels, keys)
        self.to_k = ConvBN(channels, keys)
        self.to_v = ConvBN(channels, values)

        self.proj = nn.Sequential(nn.ReLU6(), ConvBN(values, channels))
        self.proj_encode_row = nn.Sequential(nn.ReLU6(), ConvBN(values, values))
        self.pos_emb_rowq = AxialPositionEmbedding(keys)
        self.pos_emb_rowk = AxialPositionEmbedding(keys)
        self.proj_encode_column = nn.Sequential(nn.ReLU6(), ConvBN(values, values))
        self.pos_emb_columnq = AxialPositionEmbedding(keys)
        self.pos_emb_columnk = AxialPositionEmbedding(keys)

        self.dwconv = ConvBN(2 * keys + values, 2 * keys + values, 3, groups=2 * keys + values)
        self.pwconv = ConvBN(2 * keys + values, channels)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.to_q(x), self.to_k(x), self.to_v(x)
        detail = self.pwconv(F.relu6(self.dwconv(torch.cat((q, k, v), dim=1))))

        row = self._attend(
            self.pos_emb_rowq(q.mean(3)), self.pos_emb_rowk(k.mean(3)), v.mean(3)
        ).unsqueeze(3)
        column = self._attend(
            self.pos_emb_columnq(q.mean(2)), self.pos_emb_columnk(k.mean(2)), v.mean(2)
        ).unsqueeze(2)
        attention = self.proj(v + self.proj_encode_row(row) + self.proj_encode_column(column))
        return F.hardsigmoid(attention) * detail

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Multi-head attention over the last axis of [B, heads * width, L] tensors."""
        q, k, v = (t.unflatten(1, (self.num_heads, -1)) for t in (q, k, v))
        weights = (self.scale * torch.einsum("bhdi,bhdj->bhij", q, k)).softmax(3)
        # In this order torch.export can keep L symbolic.
        return torch.einsum("bhij,bhdj->bihd", weights, v).flatten(2).transpose(1, 2)
