"""Other people's networks, written from the papers in the layouts of well-known libraries.

`optimize` is held against them. They are ours; only names and structure are as people have them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from zoo import classic, mobile_rows, mobilevit, reparametrised, segmentation
from zoo import timm_layout as timm
from zoo import torchvision_layout as torchvision
from zoo.mmseg_layout import Labels
from zoo.reference_seaformer import seaformer_classifier, seaformer_segmenter
from zoo.topformer import topformer
from zoo.trained import images, noise, trained

__all__ = ["ZooModel", "create", "images", "models", "noise", "trained"]


@dataclass(frozen=True)
class ZooModel:
    """One network.

    Attributes:
        name: `family/layout or variant`.
        make: constructor with fresh weights.
        size: of the square images of tests.
        step: what sizes must be multiples of.
    """

    name: str
    make: Callable[[], nn.Module]
    size: int = 64
    step: int = 1

    @property
    def family(self) -> str:
        """The part of the name before the slash."""
        return self.name.partition("/")[0]

    @property
    def other_size(self) -> tuple[int, int]:
        """Height and width that differ from `size` and from each other, odd where they may be."""
        height, width = self.size - 13, self.size + 21
        return height - height % self.step, width - width % self.step


_V3_LARGE = mobile_rows.mobilenet_v3(large=True)
_V3_SMALL = mobile_rows.mobilenet_v3(large=False)
_MODELS = {
    "mobilenet_v1/torchvision": torchvision.MobileNetV1,
    "mobilenet_v2/torchvision": lambda: torchvision.MobileNetV2(mobile_rows.mobilenet_v2()),
    "mobilenet_v2/torchvision_050": lambda: torchvision.MobileNetV2(mobile_rows.mobilenet_v2(0.5)),
    "mobilenet_v2/timm": lambda: timm.MobileNet(mobile_rows.mobilenet_v2()),
    "mobilenet_v2/timm_tf": lambda: timm.MobileNet(mobile_rows.mobilenet_v2(), same=True),
    "mobilenet_v3/torchvision_small": lambda: torchvision.MobileNetV3(_V3_SMALL, 1024),
    "mobilenet_v3/torchvision_large": lambda: torchvision.MobileNetV3(_V3_LARGE, 1280),
    "mobilenet_v3/timm_small_tf": lambda: timm.MobileNet(_V3_SMALL, same=True, late_head=1024),
    "mobilenet_v3/timm_large": lambda: timm.MobileNet(_V3_LARGE, late_head=1280),
    "mnasnet/torchvision": lambda: torchvision.MNASNet(mobile_rows.mnasnet()),
    "mnasnet/timm": lambda: timm.MobileNet(mobile_rows.mnasnet(), drop=0.2),
    "efficientnet/torchvision_b0": lambda: torchvision.EfficientNet(mobile_rows.efficientnet()),
    "efficientnet/torchvision_b1": lambda: torchvision.EfficientNet(mobile_rows.efficientnet(1.1)),
    "efficientnet/timm_b0": lambda: timm.MobileNet(mobile_rows.efficientnet(), drop=0.2),
    "efficientnet/timm_tf_b0": lambda: timm.MobileNet(mobile_rows.efficientnet(), same=True),
    "efficientnet/timm_lite0": lambda: timm.MobileNet(mobile_rows.efficientnet(lite=True)),
    "efficientnet/timm_tf_lite0": lambda: timm.MobileNet(
        mobile_rows.efficientnet(lite=True), same=True
    ),
    "ghostnet/timm": classic.GhostNet,
    "shufflenet_v2/torchvision": classic.ShuffleNetV2,
    "resnet/18": lambda: classic.ResNet(classic.BasicBlock, (2, 2, 2, 2)),
    "resnet/50": lambda: classic.ResNet(classic.Bottleneck, (3, 4, 6, 3)),
    "regnet/x_400mf": lambda: torchvision.RegNet((1, 2, 7, 12), (32, 64, 160, 400), 16),
    "regnet/y_400mf": lambda: torchvision.RegNet((1, 3, 6, 6), (48, 104, 208, 440), 8, 0.25),
    "squeezenet/1_1": classic.SqueezeNet,
    "vgg/11_bn": classic.VGG,
    "densenet/half_of_121": classic.DenseNet,
    "convnext/atto": timm.ConvNeXt,
    "mobileone/s0": reparametrised.MobileOne,
    "repvgg/a0": reparametrised.RepVGG,
    "vit/tiny": timm.VisionTransformer,
    "mobilevit/xxs": mobilevit.MobileViT,
    "lraspp/mobilenet_v3_large": torchvision.LRASPP,
    "deeplab/v3plus_mobilenet_v2": segmentation.DeepLabV3Plus,
    "unet/bilinear": segmentation.UNet,
    "unet/transposed": lambda: segmentation.UNet(bilinear=False),
    "fast_scnn/paper": segmentation.FastSCNN,
    "bisenet/v1_resnet18": segmentation.BiSeNet,
    "topformer/tiny": partial(topformer, "tiny"),
    "topformer/base": partial(topformer, "base"),
    "topformer/tiny_labels": lambda: Labels(topformer("tiny")),
    "seaformer/segmentation_tiny": partial(seaformer_segmenter, "tiny"),
    "seaformer/segmentation_base": partial(seaformer_segmenter, "base"),
    "seaformer/segmentation_large": partial(seaformer_segmenter, "large"),
    "seaformer/classification_tiny": partial(seaformer_classifier, "tiny"),
    "seaformer/classification_small": partial(seaformer_classifier, "small"),
    "seaformer/tiny_labels": lambda: Labels(seaformer_segmenter("tiny")),
}
# Whose maps would be of one pixel or of none before the end.
_LARGER = {"squeezenet": 96, "deeplab": 96, "seaformer": 128, "topformer": 128}
_STEPS = {"vit/tiny": 16}


def models() -> list[ZooModel]:
    """All of them."""
    return [
        ZooModel(
            name, make, _LARGER.get(name.partition("/")[0], 64), 16 if name == "vit/tiny" else 1
        )
        for name, make in _MODELS.items()
    ]


def create(name: str) -> nn.Module:
    """A model by its name, with weights as training could leave them; the same in each call."""
    model = next(model for model in models() if model.name == name)
    return trained(model.make(), images(4, model.size, model.size))
