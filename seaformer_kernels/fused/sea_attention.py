"""SEA attention as one op."""

from __future__ import annotations

from dataclasses import dataclass

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
from seaformer_kernels.fused.folding import Folded, fold_conv_bn
from seaformer_kernels.fused.int8 import enter_int8, leave_int8
from seaformer_kernels.modules.conv_bn import ConvBN
from seaformer_kernels.modules.sea_attention import AxialPositionEmbedding, SeaAttention


@dataclass(frozen=True)
class FoldedSeaAttention:
    """The convolutions of plain attention, batch norms folded in.

    Attributes:
        queries, keys, values, depthwise, detail, row, column, project, positions, num_heads: as
            `ops.pack_sea_attention` takes them.
    """

    queries: Folded
    keys: Folded
    values: Folded
    depthwise: Folded
    detail: Folded
    row: Folded
    column: Folded
    project: Folded
    positions: tuple[Tensor, ...]
    num_heads: int

    @classmethod
    def of(cls, attention: nn.Module) -> FoldedSeaAttention:
        """Raises Unservable unless there are kernels for it."""
        check_forwards(attention, SeaAttention)
        if "_attend" in vars(attention) or type(attention)._attend is not SeaAttention._attend:
            raise Unservable("attends in a way of its own")
        queries, keys, values, detail = (
            fold_conv_bn(conv)
            for conv in (attention.to_q, attention.to_k, attention.to_v, attention.pwconv)
        )
        row, column, project = (
            fold_conv_bn(layers(sequence, nn.ReLU6, ConvBN)[1])
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
        key_dim = len(queries.bias) // heads
        if attention.scale != key_dim**-0.5:
            raise Unservable(f"scales by {attention.scale}, not by 1 / sqrt({key_dim})")
        return cls(
            queries,
            keys,
            values,
            fold_conv_bn(attention.dwconv, kernel_size=3, depthwise=True),
            detail,
            row,
            column,
            project,
            tuple(embedding.pos_embed.detach() for embedding in embeddings),
            heads,
        )

    @property
    def key_dim(self) -> int:
        """Width of queries and keys in each head."""
        return len(self.queries.bias) // self.num_heads

    def packed(self, dtype: torch.dtype) -> Tensor:
        """Weights for `ops.sea_attention`."""
        return ops.pack_sea_attention(
            self.queries.rounded(),
            self.keys.rounded(),
            self.values.rounded(),
            self.depthwise.rounded(),
            self.detail.rounded(),
            self.row.rounded(),
            self.column.rounded(),
            self.project.rounded(),
            self.positions,
            num_heads=self.num_heads,
            dtype=dtype,
        )


class FusedSeaAttention(FusedBlock):
    """A `SeaAttention` for inference; channels_last maps of the type of the weights out.

    One of int8 takes and gives float32 maps of whole multiples of their scales.

    Args:
        packed: from `ops.pack_sea_attention` or `ops.pack_int8_sea_attention`.
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
        cls, attention: nn.Module, residual: bool = False, *, dtype: torch.dtype = torch.float32
    ) -> FusedSeaAttention:
        """The fused form of plain attention, with the residual of its layer if asked for."""
        folded = FoldedSeaAttention.of(attention)
        return cls(folded.packed(dtype), folded.num_heads, folded.key_dim, residual)

    def with_residual(self) -> FusedSeaAttention | None:
        if self.residual or self.dtype == torch.int8:
            return None
        return FusedSeaAttention(self.packed, self.num_heads, self.key_dim, residual=True)

    def forward(self, x: Tensor) -> Tensor:
        if self.dtype == torch.int8:
            return leave_int8(self._run(enter_int8(x, self.packed)), self.packed)
        return self._run(self.in_dtype(x))

    def _run(self, x: Tensor) -> Tensor:
        return ops.sea_attention(x, self.packed, self.num_heads, self.key_dim, self.residual)
