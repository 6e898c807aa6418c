"""A SEA layer whose MLP adds the residual itself."""

from torch import Tensor, nn

from seaformer_kernels.modules.fused.mlp import FusedMlp


class FusedSeaLayer(nn.Module):
    """A `SeaLayer` for inference.

    Args:
        attn: the attention, plain or not, without its residual.
        mlp: made with its residual.
    """

    def __init__(self, attn: nn.Module, mlp: FusedMlp):
        super().__init__()
        self.attn = attn
        self.mlp = mlp

    def forward(self, x: Tensor) -> Tensor:
        return self.mlp(x + self.attn(x))
