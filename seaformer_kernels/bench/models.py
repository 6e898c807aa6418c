"""The models that are timed: random weights, and what a user does with them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import seaformer_kernels as sk
from seaformer_kernels.optimize.multiply_adds import count_multiply_adds

OUTPUTS = ("logits", "labels")
CALIBRATED = 8  # images
STATISTICS_SIZE = (256, 256)  # of the image that batch norms have the statistics of


class Resized(nn.Module):
    """A segmenter whose logits are resized to the image's size."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        size = (int(x.shape[2]), int(x.shape[3]))
        return F.interpolate(self.model(x), size, mode="bilinear", align_corners=False)


class ToLabels(nn.Module):
    """The label of every pixel, in plain PyTorch."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.resized = Resized(model)

    def forward(self, x: Tensor) -> Tensor:
        return self.resized(x).argmax(1)


def plain_model(variant: str, output: str) -> nn.Module:
    """The plain model of a variant from an image to an output, the same weights every time.

    Its batch norms hold the statistics of an image, as a trained one's do: otherwise maps grow from
    block to block until float16 cannot hold them.
    """
    torch.manual_seed(0)
    model = sk.create_model(variant).requires_grad_(False)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # those of the next image alone
            module.train()
    with torch.no_grad():
        model(image(*STATISTICS_SIZE))
    model.eval()
    nn.init.normal_(model.decode_head.conv_seg.weight, std=1.0)  # labels that differ
    return ToLabels(model).eval() if output == "labels" else model


def segmenter(model: nn.Module) -> nn.Module:
    """The segmenter of what `plain_model` made."""
    return model.resized.model if isinstance(model, ToLabels) else model


def image(height: int, width: int) -> Tensor:
    """A contiguous image [1, 3, H, W], the same every time."""
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))


def calibration_images(height: int, width: int) -> list[Tensor]:
    """Images as `image` makes them, by which int8 finds ranges; that one is the first."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, 3, height, width, generator=generator) for _ in range(CALIBRATED)]


def multiply_adds(variant: str, height: int, width: int) -> dict[str, int]:
    """By module, "" for the whole model: those of its convolutions and matrix products."""
    with torch.device("meta"):
        model, x = sk.create_model(variant), torch.empty(1, 3, height, width)
    return count_multiply_adds(model, x).by_module
