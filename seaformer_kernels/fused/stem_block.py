"""The stem and the block behind it as one op."""

import torch
from torch import Tensor

from seaformer_kernels import ops
from seaformer_kernels.fused.block import FusedBlock
from seaformer_kernels.fused.int8 import leave_int8
from seaformer_kernels.fused.inverted_residual import FusedInvertedResidual
from seaformer_kernels.fused.stem import FusedStem, check_image_dtype


class FusedStemBlock(FusedBlock):
    """A `FusedStem`, then a `FusedInvertedResidual` without expansion; images in, map out.

    Args:
        stem, block: that `joins` says one op can run.

    Attributes:
        stem, block: uint8 buffers, the packed weights of both.
        out_channels, kernel_size, stride, residual: of the block.
        normalizes: of the stem.
    """

    stem: Tensor
    block: Tensor

    def __init__(self, stem: FusedStem, block: FusedInvertedResidual):
        super().__init__(stem=stem.packed, block=block.packed)
        self.out_channels = block.out_channels
        self.kernel_size = block.kernel_size
        self.stride = block.stride
        self.residual = block.residual
        self.normalizes = stem.normalizes

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *others: object) -> None:
        joined = state_dict.pop(f"{prefix}packed", None)  # as saved when both lay in one buffer
        if joined is not None:
            state_dict[f"{prefix}stem"] = joined[: len(self.stem)].clone()
            state_dict[f"{prefix}block"] = joined[len(self.stem) :].clone()
        super()._load_from_state_dict(state_dict, prefix, *others)

    def forward(self, x: Tensor) -> Tensor:
        check_image_dtype(x, self.normalizes)
        y = ops.stem_block(
            x,
            self.stem,
            self.block,
            self.out_channels,
            self.kernel_size,
            self.stride,
            self.residual,
            self.dtype,
        )
        return leave_int8(y, self.block) if self.dtype == torch.int8 else y
