"""The inverted residual as one op."""

from torch import Tensor, nn

from seaformer_kernels import ops
from seaformer_kernels.fused.block import (
    FusedBlock,
    Unservable,
    check_forward,
    check_forwards,
    layers,
)
from seaformer_kernels.fused.folding import convolution, fold_conv_bn
from seaformer_kernels.modules.conv_bn import ConvBN
from seaformer_kernels.modules.inverted_residual import InvertedResidual


class FusedInvertedResidual(FusedBlock):
    """An `InvertedResidual` for inference; float32 in, float32 channels_last out.

    Args:
        packed: from `ops.pack_inverted_residual`.
        out_channels, kernel_size, stride: as packed.
        residual: whether the input is added to the output.
    """

    def __init__(
        self,
        packed: Tensor,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        residual: bool = False,
    ):
        super().__init__(packed=packed)
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.residual = residual

    @classmethod
    def of(cls, block: InvertedResidual) -> "FusedInvertedResidual":
        """The fused form of a plain block."""
        check_forwards(block, InvertedResidual)
        check_forward(block.conv, nn.Sequential)
        expansion = [ConvBN, nn.ReLU] if len(block.conv) == 5 else []
        *expand, depthwise, _, project = layers(block.conv, *expansion, ConvBN, nn.ReLU, ConvBN)
        conv = convolution(depthwise)
        (kernel_size, _), (stride, _) = conv.kernel_size, conv.stride
        if kernel_size not in (3, 5) or stride not in (1, 2):
            raise Unservable(
                f"has a depthwise convolution with kernel size {kernel_size} and stride {stride}; "
                "there are kernels for sizes 3 and 5 and strides 1 and 2"
            )
        folded = fold_conv_bn(depthwise, kernel_size=kernel_size, stride=stride, depthwise=True)
        last = fold_conv_bn(project)
        packed = ops.pack_inverted_residual(
            fold_conv_bn(expand[0]).rounded() if expand else None,
            folded.rounded(),
            last.rounded(),
            stride=stride,
        )
        return cls(packed, len(last.bias), kernel_size, stride, block.residual)

    def forward(self, x: Tensor) -> Tensor:
        return ops.inverted_residual(
            x, self.packed, self.out_channels, self.kernel_size, self.stride, self.residual
        )
