"""The loss of a model on a batch: what the model is shown of it, and who else is asked."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from seaformer_kernels.training.distillation import DistillationLoss, halved
from seaformer_kernels.training.losses import LossSum, SegmentationLoss


class Supervised(nn.Module):
    """The loss of a model's outputs.

    Args:
        loss: of outputs and targets.
        halves: whether the model is shown images at half their size.
    """

    def __init__(self, loss: nn.Module, halves: bool = False):
        super().__init__()
        self.loss = loss
        self.halves = halves

    def forward(self, model: nn.Module, images: Tensor, target: Tensor) -> LossSum:
        """Of images [B, 3, H, W] and their targets."""
        return self.loss(model(halved(images) if self.halves else images), target)


class Distilled(nn.Module):
    """The loss of a student, which is shown half of what its teacher is.

    Args:
        loss: its terms, whose cross-entropies are means as `mean_of` makes them of `labelled`.
        teacher: is made constant.
        labelled: tells what the labelled pixels of a mask weigh.
        mean: of a number over all processes.
    """

    def __init__(
        self,
        loss: DistillationLoss,
        teacher: nn.Module,
        labelled: SegmentationLoss,
        mean: Callable[[Tensor], Tensor],
    ):
        super().__init__()
        self.loss = loss
        self.teacher = teacher.eval().requires_grad_(False)
        self.labelled = labelled
        self.mean = mean

    def forward(self, student: nn.Module, images: Tensor, target: Tensor) -> LossSum:
        """Of images [B, 3, H, W] and masks int64 [B, H, W]."""
        dtype = next(self.teacher.parameters()).dtype  # no Fabric around it turns inputs to that
        terms = self.loss(student, self.teacher, images.to(dtype), halved(images), target)
        weight = self.labelled.weight_of(target).to(images)
        # Terms that are means over labelled pixels, and over the equal shares of all processes.
        equal = self.mean(weight.clone())  # which may be changed in place
        shares = {"student": weight, "lifted": weight, "features": equal, "kl": equal}
        parts = [term * shares[name] for name, term in terms.items()]
        return LossSum(sum(parts[1:], parts[0]), weight)
