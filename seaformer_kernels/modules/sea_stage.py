"""The transformer layers that follow a convolutional stage."""

from torch import Tensor, nn

from seaformer_kernels.graph import chain
from seaformer_kernels.modules.mlp import Mlp
from seaformer_kernels.modules.sea_attention import SeaAttention


class SeaLayer(nn.Module):
    """One SeaFormer layer: x + SEA attention, then x + MLP.

    Maps [B, channels, H, W] to the same shape in any floating dtype.

    Args:
        channels: width of input and output.
        key_dim, num_heads: as in `SeaAttention`.
        mlp_ratio: hidden width of the MLP divided by `channels`.
    """

    def __init__(self, channels: int, key_dim: int, num_heads: int, mlp_ratio: int):
        super().__init__()
        self.attn = SeaAttention(channels, key_dim, num_heads)
        self.mlp = Mlp(channels, channels * mlp_ratio)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(x)
        return x + self.mlp(x)


class SeaStage(nn.Module):
    """`depth` equal SeaFormer layers, one after another; arguments as in `SeaLayer`."""

    def __init__(self, channels: int, depth: int, key_dim: int, num_heads: int, mlp_ratio: int):
        super().__init__()
        self.transformer_blocks = nn.Sequential(
            *(SeaLayer(channels, key_dim, num_heads, mlp_ratio) for _ in range(depth))
        )
        self.graph = chain(["transformer_blocks"])

    def forward(self, x: Tensor) -> Tensor:
        (x,) = self.graph.run(self, x)
        return x
