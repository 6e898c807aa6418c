"""Ways to run a network: by this package's ops, or by plain PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from PIL import Image
from torch import Tensor, nn

import seaformer_kernels as sk
from seaformer_kernels import _extension, data
from seaformer_kernels.cli import images
from seaformer_kernels.reference import upsample_argmax as reference

Size = tuple[int, int]  # height and width


@dataclass(frozen=True)
class Engine:
    """A network and the steps around it.

    Attributes:
        to_input: makes the network's input [1, 3, H, W] of an image.
        network: makes logits of that.
        predict: makes labels [1, *size] of that and a size.
        to_labels: makes labels of logits and a size.
    """

    to_input: Callable[[Image.Image], Tensor]
    network: nn.Module
    predict: Callable[[Tensor, Size], Tensor]
    to_labels: Callable[[Tensor, Size], Tensor]

    def labels(self, x: Tensor, size: Size, threshold: float | None = None) -> Tensor:
        """Labels [1, *size] of an input; with a threshold, of a network of one class.

        A pixel then has label 1 where the sigmoid of the logit is above the threshold, else 0.
        """
        if threshold is None:
            return self.predict(x, size)
        logits = self.network(x)
        # Beside a class that is as likely as the threshold everywhere, argmax tells what is above.
        other = torch.full_like(logits, math.log(threshold / (1 - threshold)))
        return self.to_labels(torch.cat([other, logits], 1), size)


def fused(
    model: nn.Module,
    mean: Sequence[float] = data.IMAGENET_MEAN,
    std: Sequence[float] = data.IMAGENET_STD,
) -> Engine:
    """By this package's ops."""
    network = sk.optimize(model, mean=mean, std=std, whole_graph=_extension.module is not None)
    return Engine(
        images.to_pixels,
        network,
        lambda x, size: network.predict(x, size=size),
        sk.ops.upsample_argmax,
    )


def eager(
    model: nn.Module,
    mean: Sequence[float] = data.IMAGENET_MEAN,
    std: Sequence[float] = data.IMAGENET_STD,
) -> Engine:
    """By plain PyTorch in every step."""
    return Engine(
        partial(images.to_tensor, mean=mean, std=std),
        model,
        lambda x, size: reference.upsample_argmax(model(x), size),
        reference.upsample_argmax,
    )
