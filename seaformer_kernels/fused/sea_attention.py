"""SEA attention as one op."""

import torch
from torch import Tensor, nn

from seaformer_kernels import ops
from seaformer_kernels.fused.block import (
    FusedBlock,
    Unservable,
    check_forwards,
    check_type,
    layers,
)
from seaformer_kernels.fused.folding import fold_conv_bn
from seaformer_kernels.modules.conv_bn import ConvBN
from seaformer_kernels.modules.sea_attention import AxialPositionEmbedding, SeaAttention


class FusedSeaAttention(FusedBlock):
    """A `SeaAttention` for inference; channels_last maps of the type of the weights out.

    Args:
        packed: from `ops.pack_sea_attention`.
        num_heads, key_dim: as packed.
        residual: whether the input is added to the output.
    """

    def __init__(self, packed: Tensor, num_heads: int, key_dim: int, residual: bool = False):
        super().__init__(packed=packed)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.residual = residual

    @classmethod
    def of(
        cls, attention: SeaAttention, residual: bool = False, *, dtype: torch.dtype = torch.float32
    ) -> "FusedSeaAttention":
        """The fused form of plain attention, with the residual of its layer if asked for."""
        check_forwards(attention, SeaAttention)
        if "_attend" in vars(attention) or type(attention)._attend is not SeaAttention._attend:
            raise Unservable("attends in a way of its own")
        queries, keys, values, detail = (
            fold_conv_bn(conv).rounded()
            for conv in (attention.to_q, attention.to_k, attention.to_v, attention.pwconv)
        )
        row, column, project = (
            fold_conv_bn(layers(sequence, nn.ReLU6, ConvBN)[1]).rounded()
            for sequence in (
                attention.proj_encode_row,
                attention.proj_encode_column,
                attention.proj,
            )
        )
        embeddings = (
            attention.pos_emb_rowq,
            attention.pos_emb_rowk,
            attention.pos_emb_columnq,
            attention.pos_emb_columnk,
        )
        for embedding in embeddings:
            check_type(embedding, AxialPositionEmbedding)
            if embedding.pos_embed.shape[-1] != ops.POSITIONS:
                raise Unservable(
                    f"has {embedding.pos_embed.shape[-1]} learned positions, not {ops.POSITIONS}"
                )
        heads = attention.num_heads
        key_dim = len(queries[1]) // heads
        if attention.scale != key_dim**-0.5:
            raise Unservable(f"scales by {attention.scale}, not by 1 / sqrt({key_dim})")
        packed = ops.pack_sea_attention(
            queries,
            keys,
            values,
            fold_conv_bn(attention.dwconv, kernel_size=3, depthwise=True).rounded(),
            detail,
            row,
            column,
            project,
            [embedding.pos_embed for embedding in embeddings],
            num_heads=heads,
            dtype=dtype,
        )
        return cls(packed, heads, key_dim, residual)

    def forward(self, x: Tensor) -> Tensor:
        return ops.sea_attention(
            self.in_dtype(x), self.packed, self.num_heads, self.key_dim, self.residual
        )
