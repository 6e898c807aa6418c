"""Fused ops, usable in any model; importing this registers them as ``torch.ops.seaformer.*``."""

from seaformer_kernels.ops.upsample_argmax import upsample_argmax

__all__ = ["upsample_argmax"]
