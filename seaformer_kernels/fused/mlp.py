"""The MLP of a SEA layer as one op."""

import torch
from torch import nn

from seaformer_kernels import ops
from seaformer_kernels.fused.block import check_forwards, check_type
from seaformer_kernels.fused.folding import check_conv, fold, fold_conv_bn
from seaformer_kernels.fused.inverted_residual import FusedInvertedResidual
from seaformer_kernels.modules.mlp import Mlp


class FusedMlp(FusedInvertedResidual):
    """An `Mlp` for inference, which is an inverted residual with other activations."""

    @classmethod
    def of(
        cls, mlp: Mlp, residual: bool = False, *, dtype: torch.dtype = torch.float32
    ) -> "FusedMlp":
        """The fused form of a plain MLP, with the residual that its layer adds if asked for."""
        check_forwards(mlp, Mlp)
        check_type(mlp.dwconv, nn.Conv2d)
        check_conv(mlp.dwconv, kernel_size=3, depthwise=True)
        project = fold_conv_bn(mlp.fc2)
        packed = ops.pack_inverted_residual(
            fold_conv_bn(mlp.fc1).rounded(),
            fold(mlp.dwconv).rounded(),
            project.rounded(),
            expand_activation="none",
            depthwise_activation="relu6",
            dtype=dtype,
        )
        return cls(packed, len(project.bias), residual=residual)
