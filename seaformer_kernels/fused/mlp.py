"""The feed-forward half of a SEA layer as one op."""

import torch
from torch import nn

from seaformer_kernels.fused.block import check_forwards, check_type
from seaformer_kernels.fused.folding import check_conv, fold, fold_conv_bn
from seaformer_kernels.fused.inverted_residual import (
    FoldedInvertedResidual,
    FusedInvertedResidual,
)
from seaformer_kernels.modules.mlp import Mlp


def folded_mlp(mlp: nn.Module) -> FoldedInvertedResidual:
    """The convolutions of a plain MLP; raises Unservable unless there are kernels for it."""
    check_forwards(mlp, Mlp)
    check_type(mlp.dwconv, nn.Conv2d)
    check_conv(mlp.dwconv, kernel_size=3, depthwise=True)
    return FoldedInvertedResidual(
        fold_conv_bn(mlp.fc1),
        fold(mlp.dwconv),
        fold_conv_bn(mlp.fc2),
        kernel_size=3,
        stride=1,
        expand_activation="none",
        depthwise_activation="relu6",
    )


class FusedMlp(FusedInvertedResidual):
    """An `Mlp` for inference, which is an inverted residual with other activations."""

    @classmethod
    def of(
        cls, mlp: Mlp, residual: bool = False, *, dtype: torch.dtype = torch.float32
    ) -> "FusedMlp":
        """The fused form of a plain MLP, with the residual that its layer adds if asked for."""
        return cls.from_folded(folded_mlp(mlp), residual, dtype=dtype)
