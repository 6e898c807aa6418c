"""The stem as one op."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seaformer_kernels import ops
from seaformer_kernels.fused.block import FusedBlock, check_forwards, layers
from seaformer_kernels.fused.folding import Folded, fold_conv_bn
from seaformer_kernels.fused.int8 import leave_int8
from seaformer_kernels.modules.conv_bn import ConvBN
from seaformer_kernels.modules.stem import Stem


def check_image_dtype(x: Tensor, normalizes: bool) -> None:
    """Raises TypeError for raw pixels that a stem would not normalise."""
    if x.dtype == torch.uint8 and not normalizes:
        raise TypeError(
            "Expected float32 images, as this stem has no mean and std, got torch.uint8."
        )


def folded_stem(stem: nn.Module) -> Folded:
    """The convolution of a plain stem; raises Unservable unless there is a kernel for it."""
    check_forwards(stem, Stem)
    conv_bn, _ = layers(stem, ConvBN, nn.ReLU)
    return fold_conv_bn(conv_bn, kernel_size=3, stride=2)


class FusedStem(FusedBlock):
    """A `Stem` for inference; channels_last maps out, of float32 where it is of int8.

    Args:
        packed: from `ops.pack_stem` or `ops.pack_int8_stem`.
        out_channels: width of the output.

    Attributes:
        normalizes: whether mean and std are packed, so that images are raw RGB values, float32 or
            uint8.
    """

    def __init__(self, packed: Tensor, out_channels: int):
        super().__init__(packed=packed)
        self.out_channels = out_channels
        self.normalizes = self._facts["packed"]["mean and std"] == "yes"

    @classmethod
    def of(
        cls,
        stem: Stem,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        *,
        dtype: torch.dtype = torch.float32,
    ) -> "FusedStem":
        """The fused form of a plain stem, which normalises images if mean and std are given.

        Its output is of this type.
        """
        return cls.from_folded(folded_stem(stem), mean=mean, std=std, dtype=dtype)

    @classmethod
    def from_folded(
        cls,
        folded: Folded,
        activation: str = "relu",
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> "FusedStem":
        """The fused form of a convolution of images and what is behind it, in this type."""
        packed = ops.pack_stem(
            folded.rounded(), mean=mean, std=std, activation=activation, dtype=dtype
        )
        return cls(packed, len(folded.bias))

    def forward(self, input: Tensor) -> Tensor:  # as the plain stem's argument is called
        check_image_dtype(input, self.normalizes)
        y = ops.stem(input, self.packed, self.out_channels, self.dtype)
        return leave_int8(y, self.packed, "relu") if self.dtype == torch.int8 else y
