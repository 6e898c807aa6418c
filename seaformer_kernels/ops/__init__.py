"""Fused ops, usable in any model; importing this registers them as ``torch.ops.seaformer.*``.

Each block op takes its weights packed, from the `pack_*` function of its name.
"""

from seaformer_kernels.ops._packed import POSITIONS
from seaformer_kernels.ops.classification_head import classification_head, pack_classification_head
from seaformer_kernels.ops.fusion_gate import fusion_gate, pack_fusion_gate
from seaformer_kernels.ops.inverted_residual import inverted_residual, pack_inverted_residual
from seaformer_kernels.ops.pointwise import pack_pointwise, pointwise
from seaformer_kernels.ops.sea_attention import pack_sea_attention, sea_attention
from seaformer_kernels.ops.segmentation_head import pack_segmentation_head, segmentation_head
from seaformer_kernels.ops.stem import pack_stem, stem
from seaformer_kernels.ops.upsample_argmax import upsample_argmax

__all__ = [
    "POSITIONS",
    "classification_head",
    "fusion_gate",
    "inverted_residual",
    "pack_classification_head",
    "pack_fusion_gate",
    "pack_inverted_residual",
    "pack_pointwise",
    "pack_sea_attention",
    "pack_segmentation_head",
    "pack_stem",
    "pointwise",
    "sea_attention",
    "segmentation_head",
    "stem",
    "upsample_argmax",
]
