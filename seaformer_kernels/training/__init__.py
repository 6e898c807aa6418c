"""Training: pip install 'seaformer-kernels[train]'."""

from seaformer_kernels.training.distillation import DistillationLoss, halved

__all__ = ["DistillationLoss", "halved"]
