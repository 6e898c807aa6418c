"""Building blocks of SeaFormer (ICLR 2023) in plain PyTorch, with the released parameter names.

Those of detectors, of which nothing was released, have names of ours.
"""

from seaformer_kernels.modules.classification_head import ClassificationHead
from seaformer_kernels.modules.conv_bn import ConvBN
from seaformer_kernels.modules.feature_pyramid import FeaturePyramid, TopDownSum
from seaformer_kernels.modules.fusion_gate import FusionGate
from seaformer_kernels.modules.inverted_residual import InvertedResidual
from seaformer_kernels.modules.mlp import Mlp
from seaformer_kernels.modules.retina_head import LightHead, RetinaHead, SeparableLayer
from seaformer_kernels.modules.sea_attention import SeaAttention
from seaformer_kernels.modules.sea_stage import SeaLayer, SeaStage
from seaformer_kernels.modules.segmentation_head import SegmentationHead
from seaformer_kernels.modules.stem import Stem
from seaformer_kernels.modules.upsampling_head import Doubling, Upsampler, UpsamplingHead

__all__ = [
    "ClassificationHead",
    "ConvBN",
    "Doubling",
    "FeaturePyramid",
    "FusionGate",
    "InvertedResidual",
    "LightHead",
    "Mlp",
    "RetinaHead",
    "SeaAttention",
    "SeaLayer",
    "SeaStage",
    "SegmentationHead",
    "SeparableLayer",
    "Stem",
    "TopDownSum",
    "Upsampler",
    "UpsamplingHead",
]
