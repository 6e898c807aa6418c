"""The stem and the block behind it as one op."""

from torch import Tensor

from seaformer_kernels import ops
from seaformer_kernels.fused.block import FusedBlock, Unservable
from seaformer_kernels.fused.inverted_residual import FusedInvertedResidual
from seaformer_kernels.fused.stem import FusedStem, check_image_dtype


class FusedStemBlock(FusedBlock):
    """A `FusedStem`, then a `FusedInvertedResidual` without expansion; images in, map out.

    Args:
        packed: from `ops.pack_stem_block`.
        stem_channels, out_channels, kernel_size, stride: as packed.
        residual: whether the stem's output is added.
        normalizes: as of `FusedStem`.
    """

    def __init__(
        self,
        packed: Tensor,
        stem_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        residual: bool = False,
        normalizes: bool = False,
    ):
        super().__init__(packed)
        self.stem_channels = stem_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.residual = residual
        self.normalizes = normalizes

    @classmethod
    def of(cls, stem: FusedStem, block: FusedInvertedResidual) -> "FusedStemBlock":
        """Both in one."""
        try:
            packed = ops.pack_stem_block(stem.packed, block.packed)
        except ValueError as error:
            raise Unservable(f"does not fit behind a stem ({error})") from error
        return cls(
            packed,
            stem.out_channels,
            block.out_channels,
            block.kernel_size,
            block.stride,
            block.residual,
            stem.normalizes,
        )

    def forward(self, x: Tensor) -> Tensor:
        check_image_dtype(x, self.normalizes)
        return ops.stem_block(
            x,
            self.packed,
            self.stem_channels,
            self.out_channels,
            self.kernel_size,
            self.stride,
            self.residual,
        )
