"""Blocks for inference: the fused op of a plain block, with its packed weights.

Each is made of the plain block it stands for by `of`, which raises `Unservable` with the reason
where the op cannot do what the block does.
"""

from seaformer_kernels.fused.attention import FusedAttention
from seaformer_kernels.fused.block import FusedBlock, Unservable, check_forward
from seaformer_kernels.fused.classification_head import FusedClassificationHead
from seaformer_kernels.fused.convolution import FusedConvolution
from seaformer_kernels.fused.depthwise import FusedDepthwise
from seaformer_kernels.fused.folding import Folded, folded_convolution
from seaformer_kernels.fused.fusion_gate import FusedFusionGate, folded_gate
from seaformer_kernels.fused.inverted_residual import (
    FoldedInvertedResidual,
    FoldedSqueezeExcite,
    FusedInvertedResidual,
)
from seaformer_kernels.fused.labels import UpsampledLabels
from seaformer_kernels.fused.light_head import FoldedLightHead, FusedLightHead
from seaformer_kernels.fused.loading import SelfDescribing
from seaformer_kernels.fused.mlp import FusedMlp, folded_mlp
from seaformer_kernels.fused.pointwise import FusedPointwise
from seaformer_kernels.fused.sea_attention import FoldedSeaAttention, FusedSeaAttention
from seaformer_kernels.fused.segmentation_head import FoldedLastFusion, FusedSegmentationHead
from seaformer_kernels.fused.stem import FusedStem, folded_stem
from seaformer_kernels.fused.stem_block import FusedStemBlock
from seaformer_kernels.fused.upsampling_head import FusedUpsamplingHead

__all__ = [
    "Folded",
    "FoldedInvertedResidual",
    "FoldedLastFusion",
    "FoldedLightHead",
    "FoldedSeaAttention",
    "FoldedSqueezeExcite",
    "FusedAttention",
    "FusedBlock",
    "FusedClassificationHead",
    "FusedConvolution",
    "FusedDepthwise",
    "FusedFusionGate",
    "FusedInvertedResidual",
    "FusedLightHead",
    "FusedMlp",
    "FusedPointwise",
    "FusedSeaAttention",
    "FusedSegmentationHead",
    "FusedStem",
    "FusedStemBlock",
    "FusedUpsamplingHead",
    "SelfDescribing",
    "Unservable",
    "UpsampledLabels",
    "check_forward",
    "folded_convolution",
    "folded_gate",
    "folded_mlp",
    "folded_stem",
]
