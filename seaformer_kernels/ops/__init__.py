"""Fused ops, usable in any model; importing this registers them as ``torch.ops.seaformer.*``.

`squeeze_axial_attention`, `detail_enhancement` and `axial_mean` take plain tensors and have
gradients; `upsample_argmax`, `batched_nms` and `decode_detections` take plain tensors, too. Each
block op takes its weights packed, from the `pack_*` function of its name.
"""

from seaformer_kernels.ops._activation import ACTIVATIONS
from seaformer_kernels.ops._int8 import Int8Layer
from seaformer_kernels.ops._packed import POSITIONS
from seaformer_kernels.ops._plan import Anchors, Step, Task, common_dtype, memory_of, pack_plan
from seaformer_kernels.ops.axial_mean import axial_mean
from seaformer_kernels.ops.classification_head import classification_head, pack_classification_head
from seaformer_kernels.ops.convolution import convolution, pack_convolution
from seaformer_kernels.ops.depthwise import depthwise, pack_depthwise
from seaformer_kernels.ops.detail_enhancement import detail_enhancement
from seaformer_kernels.ops.detections import batched_nms, decode_detections
from seaformer_kernels.ops.fusion_gate import (
    fusion_gate,
    pack_fusion_gate,
    pack_int8_fusion_gate,
)
from seaformer_kernels.ops.inverted_residual import (
    SqueezeExcite,
    inverted_residual,
    pack_int8_inverted_residual,
    pack_inverted_residual,
)
from seaformer_kernels.ops.map_steps import (
    MOST_TIMES,
    pack_activate,
    pack_adaptive_pool,
    pack_add,
    pack_attention,
    pack_concat,
    pack_global_pool,
    pack_pool,
    pack_resize,
    pack_resize_add,
    pack_scale,
    pack_slice,
    pack_upsample,
)
from seaformer_kernels.ops.network import (
    network_detections,
    network_labels,
    network_logits,
    network_maps,
    release_memory,
)
from seaformer_kernels.ops.pointwise import pack_pointwise, pointwise
from seaformer_kernels.ops.sea_attention import (
    pack_int8_sea_attention,
    pack_sea_attention,
    sea_attention,
)
from seaformer_kernels.ops.segmentation_head import (
    pack_int8_segmentation_head,
    pack_segmentation_head,
    segmentation_head,
    segmentation_labels,
)
from seaformer_kernels.ops.squeeze_axial_attention import squeeze_axial_attention
from seaformer_kernels.ops.stem import pack_int8_stem, pack_stem, stem
from seaformer_kernels.ops.stem_block import stem_block
from seaformer_kernels.ops.upsample_argmax import upsample_argmax
from seaformer_kernels.ops.upsampling_head import pack_upsampling_head, upsampling_head

__all__ = [
    "ACTIVATIONS",
    "MOST_TIMES",
    "POSITIONS",
    "Anchors",
    "Int8Layer",
    "SqueezeExcite",
    "Step",
    "Task",
    "axial_mean",
    "batched_nms",
    "classification_head",
    "common_dtype",
    "convolution",
    "decode_detections",
    "depthwise",
    "detail_enhancement",
    "fusion_gate",
    "inverted_residual",
    "memory_of",
    "network_detections",
    "network_labels",
    "network_logits",
    "network_maps",
    "pack_activate",
    "pack_adaptive_pool",
    "pack_add",
    "pack_attention",
    "pack_classification_head",
    "pack_concat",
    "pack_convolution",
    "pack_depthwise",
    "pack_fusion_gate",
    "pack_global_pool",
    "pack_int8_fusion_gate",
    "pack_int8_inverted_residual",
    "pack_int8_sea_attention",
    "pack_int8_segmentation_head",
    "pack_int8_stem",
    "pack_inverted_residual",
    "pack_plan",
    "pack_pointwise",
    "pack_pool",
    "pack_resize",
    "pack_resize_add",
    "pack_scale",
    "pack_sea_attention",
    "pack_segmentation_head",
    "pack_slice",
    "pack_stem",
    "pack_upsample",
    "pack_upsampling_head",
    "pointwise",
    "release_memory",
    "sea_attention",
    "segmentation_head",
    "segmentation_labels",
    "squeeze_axial_attention",
    "stem",
    "stem_block",
    "upsample_argmax",
    "upsampling_head",
]
