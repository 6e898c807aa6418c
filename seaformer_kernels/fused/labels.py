"""Labels of logits at another size as one op."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seaformer_kernels import ops


class UpsampledLabels(nn.Module):
    """`interpolate(logits, size, mode="bilinear").argmax(1)` for inference; int64, as that has it.

    Args:
        align_corners: of the resize.
        scale: what height and width grow by, if no size is given.
    """

    def __init__(self, align_corners: bool = False, scale: tuple[int, int] | None = None):
        super().__init__()
        self.align_corners = align_corners
        self.scale = scale

    def forward(self, logits: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        if size is None:
            size = tuple(
                side * factor for side, factor in zip(logits.shape[2:], self.scale, strict=True)
            )
        labels = ops.upsample_argmax(logits, tuple(size), align_corners=self.align_corners)
        return labels.to(torch.int64)
